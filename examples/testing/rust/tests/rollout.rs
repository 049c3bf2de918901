use pilothouse_example::Server;
use std::process::Command;

fn kubectl(server: &Server, line: &str) {
    let mut command = Command::new("kubectl");
    command.env("KUBECONFIG", server.kubeconfig()).args(line.split(' '));
    assert!(command.status().expect("kubectl runs").success(), "kubectl {line}");
}

#[test]
fn a_deployment_becomes_ready() {
    let server = Server::start(&["--simulate=nodes=1"]).expect("the server starts");
    kubectl(&server, "create namespace shop");
    kubectl(&server, "create deployment web --image=nginx --replicas=2 -n shop");
    kubectl(&server, "rollout status deployment/web -n shop --timeout=10s");
}
