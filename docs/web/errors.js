/** What a user can set right; the message says what was expected, found, and to be done. */
export class InputError extends Error {}
