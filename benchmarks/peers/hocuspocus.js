// Hocuspocus with its SQLite extension, as its documentation sets it up, in the directory that is named.

import { join } from 'node:path'

import { SQLite } from '@hocuspocus/extension-sqlite'
import { Server } from '@hocuspocus/server'

import { directory, serving } from './parent.js'

const server = new Server({
  address: '127.0.0.1',
  port: 0,
  quiet: true,
  stopOnSignals: false,
  extensions: [new SQLite({ database: join(directory(), 'documents.sqlite') })]
})
await server.listen()
serving(server.address.port, () => server.destroy())
