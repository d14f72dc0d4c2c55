// A server tells its port in a line of JSON, and ends when its input does.

export function serving(port, stop) {
  process.stdout.write(`${JSON.stringify(port)}\n`)
  const end = async () => {
    await stop()
    process.exit(0)
  }
  process.stdin.on('end', end)
  process.stdin.resume()
}

export function directory() {
  const [, , data] = process.argv
  if (data === undefined) {
    throw new Error('name the directory for the data')
  }
  return data
}
