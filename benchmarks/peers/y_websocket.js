// y-websocket-server with LevelDB, as its own src/server.js sets it up, in the directory that is named.

import http from 'node:http'

import WebSocket from 'ws'

import { directory, serving } from './parent.js'

process.env.YPERSISTENCE = directory()
console.info = () => {} // it tells of its persistence where the port is told
const { getPersistence, setupWSConnection } = await import('@y/websocket-server/utils')

const sockets = new WebSocket.Server({ noServer: true })
sockets.on('connection', (socket, request) => setupWSConnection(socket, request))
const server = http.createServer()
server.on('upgrade', (request, socket, head) => {
  sockets.handleUpgrade(request, socket, head, (opened) => sockets.emit('connection', opened, request))
})
server.listen(0, '127.0.0.1', () => {
  serving(server.address().port, () => getPersistence().provider.destroy())
})
