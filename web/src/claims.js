// What a token says of itself. Only the server can tell whether that is true.

export function claims(token) {
  try {
    const part = token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(part), (char) => char.charCodeAt(0))));
  } catch {
    return undefined;
  }
}

/** The Authorization of headers, however it is spelled. */
export function authorization(headers) {
  const value = Object.entries(headers ?? {}).find(([name]) => name.toLowerCase() === 'authorization')?.[1];
  return typeof value === 'string' ? value : undefined;
}

/** Whether two values of Authorization are of the same user in the same role. */
export function samePerson(one, other) {
  const [a, b] = [one, other].map((value) => claims(value?.replace(/^\s*bearer\s+/i, '')));
  return a !== undefined && b !== undefined && a.sub === b.sub && a.role === b.role;
}
