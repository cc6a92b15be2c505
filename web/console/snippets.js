// What can be done in the console, as code: for a shell, for the JavaScript SDK, and in Go. Each function answers
// { curl, javascript, go }. A token is never in it: who needs one has it in the environment variable TOKEN.
import { isJSON } from './json.js';
import { base, getToken, path } from './session.js';

// ---- How each language quotes ----------------------------------------------------------------------------------

/** shell quotes a word for a POSIX shell. */
export const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** js writes a value in JavaScript, with all digits of its numbers. */
export function js(value) {
  if (JSON.isRawJSON?.(value)) return `JSON.rawJSON('${JSON.stringify(value)}')`;
  if (Array.isArray(value)) return `[${value.map(js).join(', ')}]`;
  if (value !== null && typeof value === 'object') {
    const entries = Object.entries(value).map(([name, one]) => {
      const key = name === '__proto__' ? '["__proto__"]' : /^[A-Za-z_$][\w$]*$/.test(name) ? name : quote(name);
      return `${key}: ${js(one)}`;
    });
    return entries.length ? `{ ${entries.join(', ')} }` : '{}';
  }
  return typeof value === 'string' ? quote(value) : JSON.stringify(value);
}

const quote = (text) => (/['\\\p{Cc}\u2028\u2029]/u.test(text) ? JSON.stringify(text) : `'${text}'`);

/** go writes a string in Go. */
export const go = (text) => (/^[^`\p{Cc}\ufeff]*["\\][^`\p{Cc}\ufeff]*$/u.test(text) ? `\`${text}\`` : JSON.stringify(text));

// ---- What they have in common ----------------------------------------------------------------------------------

const origin = base.href.replace(/\/$/, '');

function address(target, query = {}) {
  const url = new URL(target, base);
  for (const [name, values] of Object.entries(query)) {
    for (const value of [values].flat()) if (value !== '' && value !== undefined) url.searchParams.append(name, value);
  }
  return url.href;
}

function curl(method, url, ...options) {
  const words = ['curl'];
  if (method !== 'GET' && method !== 'POST') words.push('-X', method);
  if (getToken()) words.push('-H "Authorization: Bearer $TOKEN"');
  return [...words, ...options, shell(url)].join(' ');
}

const jsConnect = () => `import { connect } from './client.js'; // ${origin}/client.js

const fanfare = connect(${js(origin)}${getToken() ? ', { token: process.env.TOKEN }' : ''});
`;

function goProgram(imports, body) {
  const all = ['context', 'log', ...imports, ...(getToken() ? ['os'] : [])].sort();
  return `package main

import (
${all.map((name) => `\t"${name}"\n`).join('')}
	fanfare "fanfare/clients/go"
)

func main() {
	ctx := context.Background()
	client, err := fanfare.Connect(${go(origin)}, fanfare.Options{${getToken() ? 'Token: os.Getenv("TOKEN")' : ''}})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
${body}}
`;
}

function fetched(method, url) {
  const options = [];
  if (method !== 'GET') options.push(`method: '${method}'`);
  if (getToken()) options.push('headers: { Authorization: `Bearer ${process.env.TOKEN}` }');
  return `const response = await fetch(${js(url)}${options.length ? `, { ${options.join(', ')} }` : ''});
if (!response.ok) throw new Error(await response.text());
console.log(await response.text());
`;
}

const goRequest = (method, url) => `package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
${getToken() ? '\t"os"\n' : ''})

func main() {
	request, err := http.NewRequest(${go(method)}, ${go(url)}, nil)
	if err != nil {
		log.Fatal(err)
	}
${getToken() ? '\trequest.Header.Set("Authorization", "Bearer "+os.Getenv("TOKEN"))\n' : ''}	response, err := http.DefaultClient.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(response.Status, string(body))
}
`;

const plain = (method, target, query) => {
  const url = address(target, query);
  return { curl: curl(method, url), javascript: fetched(method, url), go: goRequest(method, url) };
};

// ---- What can be done ------------------------------------------------------------------------------------------

/** listSnippets is for what is read by GET: topics, clients, metrics. */
export const listSnippets = (what, query) => plain('GET', what, query);

export const disconnectSnippets = (id) => plain('DELETE', path('clients', id));

export const purgeSnippets = (topic) => plain('DELETE', `${path('topics', topic)}/messages`);

export const historySnippets = (topic, last) => plain('GET', `${path('topics', topic)}/messages`, { last });

export function publishSnippets(topic, data) {
  // What a shell gives is JSON if it can be, else text. Text that could be JSON has to be quoted as JSON.
  const body = typeof data === 'string' && !isJSON(data) ? data : JSON.stringify(data);
  return {
    curl: curl('POST', address(`${path('topics', topic)}/publish`), `--data-raw ${shell(body)}`),
    javascript: `${jsConnect()}const receipt = await fanfare.publish(${js(topic)}, ${js(data)});
console.log(receipt.id);
fanfare.close();
`,
    go: goProgram(['encoding/json', 'fmt'], `	receipt, err := client.Publish(ctx, ${go(topic)}, json.RawMessage(${go(JSON.stringify(data))}))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(receipt.ID)
`),
  };
}

export function presenceSnippets(topic) {
  return {
    curl: curl('GET', address(`${path('topics', topic)}/clients`)),
    javascript: `${jsConnect()}console.log(await fanfare.presence(${js(topic)}));
fanfare.close();
`,
    go: goProgram(['fmt'], `	presence, err := client.Presence(ctx, ${go(topic)})
	if err != nil {
		log.Fatal(err)
	}
	for _, member := range presence.Members {
		fmt.Println(member.ClientID, member.User)
	}
`),
  };
}

export function subscribeSnippets(topics, { since, last }) {
  const options = [since && `since: ${js(since)}`, last && `last: ${last}`].filter(Boolean);
  const goOptions = [`Topics: []string{${topics.map(go).join(', ')}}`, since && `Since: ${go(since)}`, last && `Last: ${last}`].filter(Boolean);
  return {
    curl: curl('GET', address('events', { topic: topics, since, last }), '-N', "-H 'Accept: application/x-ndjson'"),
    javascript: `${jsConnect()}for await (const message of fanfare.subscribe(${js(topics)}${options.length ? `, { ${options.join(', ')} }` : ''})) {
  console.log(message.topic, message.data);
}
`,
    go: goProgram(['fmt'], `	subscription, err := client.Subscribe(ctx, fanfare.SubscribeOptions{${goOptions.join(', ')}})
	if err != nil {
		log.Fatal(err)
	}
	for message, err := range subscription.Messages(ctx) {
		if err != nil {
			log.Print(err) // where messages are missing it goes on; after any other error it is over
			continue
		}
		fmt.Println(message.Topic, string(message.Data))
	}
`),
  };
}
