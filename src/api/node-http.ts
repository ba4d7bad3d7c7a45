/**
 * Of node:http. An import of it reads everything that it exports, and since Node.js 22 that loads another HTTP client, for
 * its `WebSocket`: 10 MB and 50 ms for whoever serves or asks.
 */
export const { createServer, request, STATUS_CODES } = process.getBuiltinModule('node:http')
