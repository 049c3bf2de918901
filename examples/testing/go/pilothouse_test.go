package example

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// startServer starts a server for a test, and ends it with the test. It returns the path of the kubeconfig.
func startServer(t *testing.T, flags ...string) string {
	t.Helper()
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := probe.Addr().(*net.TCPAddr).Port
	probe.Close()
	folder := t.TempDir()
	kubeconfig := filepath.Join(folder, "admin.kubeconfig")
	server := exec.Command("pilothouse", append([]string{"serve", "--data-dir", folder, "--storage-backend", "memory",
		"--bind-address", "127.0.0.1", "--secure-port", strconv.Itoa(port)}, flags...)...)
	server.Stderr = os.Stderr
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Process.Signal(os.Interrupt)
		server.Wait()
	})
	for ends := time.Now().Add(30 * time.Second); time.Now().Before(ends); time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(kubeconfig); err == nil { // it is written once the server serves
			return kubeconfig
		}
	}
	t.Fatal("the server did not start")
	return ""
}
