//! Starts a server of its own for a test, and ends it when it goes out of scope.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

pub struct Server {
    process: Child,
    folder: PathBuf,
}

impl Server {
    pub fn start(flags: &[&str]) -> io::Result<Server> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let folder = env::temp_dir().join(format!("pilothouse-{port}"));
        let process = Command::new("pilothouse")
            .args(["serve", "--storage-backend=memory", "--bind-address=127.0.0.1"])
            .arg(format!("--secure-port={port}"))
            .arg(format!("--data-dir={}", folder.display()))
            .args(flags)
            .spawn()?;
        let mut server = Server { process, folder };
        let ends = Instant::now() + Duration::from_secs(30);
        while !server.kubeconfig().exists() { // it is written once the server serves
            if server.process.try_wait()?.is_some() || Instant::now() > ends {
                return Err(io::Error::other("the server did not start"));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    /// The path that a client such as `kube` reads: `Kubeconfig::read_from(server.kubeconfig())`.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("admin.kubeconfig")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill(); // nothing of a store in memory is lost
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
