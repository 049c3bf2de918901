package example;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

class RolloutTest {
    @RegisterExtension
    static Pilothouse server = new Pilothouse("--simulate=nodes=1");

    @Test
    void aDeploymentBecomesReady() throws IOException, InterruptedException {
        kubectl("create namespace shop");
        kubectl("create deployment web --image=nginx --replicas=2 -n shop");
        kubectl("rollout status deployment/web -n shop --timeout=10s");
    }

    private static void kubectl(String line) throws IOException, InterruptedException {
        var command = new ProcessBuilder(("kubectl " + line).split(" ")).redirectErrorStream(true);
        command.environment().put("KUBECONFIG", server.kubeconfig().toString());
        var process = command.start();
        var said = new String(process.getInputStream().readAllBytes());
        assertEquals(0, process.waitFor(), "kubectl " + line + ": " + said);
    }
}
