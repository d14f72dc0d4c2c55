// Yjs as the other implementation: a line of JSON is a history, the answer is what Yjs makes of it.
//   {"apply": [update, ...]}                      updates of ours, in causal order
//   {"writers": [client id, ...], "steps": [...]} a history made by Yjs: ["edit", writer, edits], ["take", from, to]
// Updates are base64. The answer: {"roots", "vector", "update", "updates"}; the last are those of the edits, in order.
const readline = require("readline");
const Y = require("yjs");

const plain = (value) => JSON.parse(JSON.stringify(value, (_, v) => (typeof v === "bigint" ? Number(v) : v)));
const packed = (bytes) => Buffer.from(bytes).toString("base64");

function root(doc, name) {
  if (name[0] === "t") return doc.getText(name);
  return name[0] === "c" || name[0] === "l" ? doc.getArray(name) : doc.getMap(name);
}

// The nearest place that is not inside a surrogate pair: editors put the cursor nowhere else.
const whole = (text, at) => (/[\udc00-\udfff]/.test(text[at] || "") ? at + 1 : at);

function edit(doc, [kind, name, ...rest]) {
  const type = root(doc, name);
  if (kind === "push") type.push([rest[0]]);
  else if (kind === "clear") type.delete(0, type.length);
  else if (kind === "set") type.set(rest[0], rest[1]);
  else if (kind === "unset") type.delete(rest[0]);
  else if (kind === "put") type.insert(rest[0] % (type.length + 1), [rest[1]]);
  else if (kind === "insert") type.insert(whole(type.toString(), rest[0] % (type.length + 1)), rest[1]);
  else if (kind === "remove" && type.length > 0) {
    const text = type.toString();
    const start = whole(text, rest[0] % type.length);
    type.delete(start, whole(text, Math.min(start + rest[1], type.length)) - start);
  }
}

function outcome(doc, updates) {
  const roots = {};
  for (const name of doc.share.keys()) roots[name] = plain(root(doc, name).toJSON());
  const vector = [...Y.decodeStateVector(Y.encodeStateVector(doc)).entries()];
  return { roots, vector, update: packed(Y.encodeStateAsUpdate(doc)), updates };
}

function applied(updates) {
  const doc = new Y.Doc();
  for (const update of updates) Y.applyUpdate(doc, Buffer.from(update, "base64"));
  return outcome(doc, []);
}

function made(writers, steps) {
  const docs = writers.map((id) => Object.assign(new Y.Doc(), { clientID: id }));
  const updates = [];
  for (const [kind, one, other] of steps) {
    const doc = docs[one];
    if (kind === "edit") {
      const before = Y.encodeStateVector(doc);
      doc.transact(() => other.forEach((each) => edit(doc, each)));
      updates.push(packed(Y.encodeStateAsUpdate(doc, before)));
    } else {
      Y.applyUpdate(docs[other], Y.encodeStateAsUpdate(doc, Y.encodeStateVector(docs[other])));
    }
  }
  const all = new Y.Doc();
  for (const doc of docs) Y.applyUpdate(all, Y.encodeStateAsUpdate(doc));
  return outcome(all, updates);
}

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const { apply, writers, steps } = JSON.parse(line);
  process.stdout.write(JSON.stringify(apply ? applied(apply) : made(writers, steps)) + "\n");
});
