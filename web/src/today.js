// Example variables may hold "@today", "@today-30" or "@today+1": a fixed date would be out of every report one day.

const DAY = 24 * 60 * 60 * 1000;

export function today(text) {
  return text.replace(/@today([+-]\d+)?/g, (_, days) => midnight(Number(days ?? 0)));
}

function midnight(days) {
  return new Date(Date.now() + days * DAY).toISOString().replace(/T.*/, 'T00:00:00Z');
}
