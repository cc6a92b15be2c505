/** Whether a topic matches a pattern: by a regular expression, which is not how the client does it. */
export const matches = (pattern, topic) => new RegExp(`^${pattern.replaceAll('.', '\\.').replaceAll('*', '[^.]+').replace(/>$/, '.+')}$`).test(topic);
