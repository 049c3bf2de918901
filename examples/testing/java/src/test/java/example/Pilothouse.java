package example;

import java.io.IOException;
import java.lang.ProcessBuilder.Redirect;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.extension.AfterAllCallback;
import org.junit.jupiter.api.extension.BeforeAllCallback;
import org.junit.jupiter.api.extension.ExtensionContext;

/** A server for the tests of a class: {@code @RegisterExtension static Pilothouse server = new Pilothouse("--simulate=nodes=1");}. */
public class Pilothouse implements BeforeAllCallback, AfterAllCallback {
    private final List<String> flags;
    private Process process;
    private Path folder;

    public Pilothouse(String... flags) {
        this.flags = List.of(flags);
    }

    /** The path that a client reads, such as {@code Config.fromKubeconfig(server.kubeconfig().toFile())} of fabric8. */
    public Path kubeconfig() {
        return folder.resolve("admin.kubeconfig");
    }

    @Override
    public void beforeAll(ExtensionContext context) throws IOException, InterruptedException {
        int port;
        try (var probe = new ServerSocket(0)) {
            port = probe.getLocalPort();
        }
        folder = Files.createTempDirectory("pilothouse-");
        var command = new ArrayList<>(List.of("pilothouse", "serve", "--storage-backend=memory",
            "--bind-address=127.0.0.1", "--data-dir=" + folder, "--secure-port=" + port));
        command.addAll(flags);
        process = new ProcessBuilder(command).redirectError(Redirect.INHERIT).start(); // Surefire needs the output itself
        for (int left = 3000; !Files.exists(kubeconfig()); left--) { // it is written once the server serves
            if (left == 0 || process.waitFor(10, TimeUnit.MILLISECONDS)) {
                throw new IllegalStateException("the server did not start");
            }
        }
    }

    @Override
    public void afterAll(ExtensionContext context) throws IOException, InterruptedException {
        process.destroy();
        process.waitFor();
        try (var paths = Files.walk(folder)) {
            paths.sorted(Comparator.reverseOrder()).forEach(path -> path.toFile().delete());
        }
    }
}
