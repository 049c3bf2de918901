// Starts a server of its own for tests, and ends it: `const server = await start()`, `server.kubeconfig`, `await server.stop()`.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';

const freePort = () => new Promise((resolve) => {
  const probe = createServer().listen(0, '127.0.0.1', () => {
    const { port } = probe.address();
    probe.close(() => resolve(port));
  });
});

export async function start(...flags) {
  const folder = mkdtempSync(join(tmpdir(), 'pilothouse-'));
  const kubeconfig = join(folder, 'admin.kubeconfig');
  const server = spawn('pilothouse', ['serve', '--data-dir', folder, '--storage-backend', 'memory',
    '--bind-address', '127.0.0.1', '--secure-port', await freePort(), ...flags], { stdio: ['ignore', 'ignore', 'inherit'] });
  const ended = new Promise((resolve, reject) => server.once('exit', resolve).once('error', reject));
  const stop = async () => {
    server.kill();
    await ended;
    rmSync(folder, { recursive: true });
  };
  for (let waited = 0; !existsSync(kubeconfig); waited += 10) { // it is written once the server serves
    if (waited > 30_000 || server.exitCode !== null) {
      await stop();
      throw new Error('the server did not start');
    }
    await Promise.race([setTimeout(10), ended]);
  }
  return { kubeconfig, stop };
}
