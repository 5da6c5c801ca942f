/** When the extension began to be loaded: this module is evaluated before all others. */
export const started = performance.now()
