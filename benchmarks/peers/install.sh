#!/bin/sh
# Installs what `crdt-bench peers` measures beside our relay into node_modules/, as package-lock.json has it.
# It takes Node.js 20 or newer, and a compiler where no built better-sqlite3 can be fetched: a few minutes then.
set -eu
cd "$(dirname "$0")"
npm ci --no-audit --no-fund
node -e "require('better-sqlite3')(':memory:').close(); require('leveldown')"
