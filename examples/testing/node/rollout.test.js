import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { AppsV1Api, CoreV1Api, KubeConfig } from '@kubernetes/client-node';
import { start } from './pilothouse.js';

let server;
const config = new KubeConfig();
before(async () => {
  server = await start('--simulate=nodes=1');
  config.loadFromFile(server.kubeconfig);
});
after(() => server.stop());

test('a deployment becomes ready', async () => {
  const [core, apps] = [config.makeApiClient(CoreV1Api), config.makeApiClient(AppsV1Api)];
  await core.createNamespace({ body: { metadata: { name: 'shop' } } });
  const labels = { app: 'web' };
  const template = { metadata: { labels }, spec: { containers: [{ name: 'web', image: 'nginx' }] } };
  const spec = { replicas: 2, selector: { matchLabels: labels }, template };
  await apps.createNamespacedDeployment({ namespace: 'shop', body: { metadata: { name: 'web' }, spec } });
  for (let left = 200; ; left -= 1) {
    const { status } = await apps.readNamespacedDeployment({ namespace: 'shop', name: 'web' });
    if (status.readyReplicas === 2) break;
    assert.ok(left, JSON.stringify(status));
    await setTimeout(50);
  }
});
