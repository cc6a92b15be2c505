// What somebody might write with the types that openapi-typescript makes of docs/openapi.json. It is compiled, not run.
import type { components, operations } from './fanfare.js';

type Message = components['schemas']['Message'];
type Code = components['schemas']['Code'];
type Problem = operations['publish']['responses'][409]['content']['application/problem+json'];

export async function publish(server: string, topic: string, data: unknown): Promise<string> {
  const response = await fetch(`${server}/topics/${encodeURIComponent(topic)}/publish`, {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(data),
  });
  if (!response.ok) throw new Error(explain(await response.json() as Problem));
  const receipt = await response.json() as components['schemas']['Receipt'];
  return receipt.id;
}

export async function* history(server: string, topic: string): AsyncGenerator<Message> {
  const wanted: operations['readHistory']['parameters']['query'] = { since: 'all', limit: 100 };
  const query = new URLSearchParams(Object.entries(wanted).map(([name, value]) => [name, String(value)]));
  const response = await fetch(`${server}/topics/${encodeURIComponent(topic)}/messages?${query}`);
  const page = await response.json() as components['schemas']['HistoryPage'];
  yield* page.messages;
}

function explain({ code, detail }: Problem): string {
  const again: Code[] = ['overloaded', 'rate_limited', 'shutting_down'];
  return again.includes(code) ? `${detail}: try again` : detail;
}
