/* kept.js - pictures kept in this browser (IndexedDB), because the server keeps them for a while only. */

const pictures = {
  memory: new Map(), /* where IndexedDB is forbidden: until the page is closed */
  open() {
    return this.opened ??= new Promise((done) => {
      try {
        const request = indexedDB.open('dreamo', 1);
        request.onupgradeneeded = () => request.result.createObjectStore('pictures');
        request.onsuccess = () => done(request.result);
        request.onerror = () => done(null);
      } catch { done(null); }
    });
  },
  async run(mode, work) {
    const db = await this.open();
    if (!db) return null;
    return new Promise((done) => {
      const request = work(db.transaction('pictures', mode).objectStore('pictures'));
      request.onsuccess = () => done(request.result);
      request.onerror = () => done(null);
    });
  },
  async put(sha, blob) {
    this.memory.set(sha, blob);
    await this.run('readwrite', (s) => s.put(blob, sha));
  },
  async get(sha) { return this.memory.get(sha) ?? this.run('readonly', (s) => s.get(sha)); },
  async keepOnly(wanted) {
    for (const sha of (await this.run('readonly', (s) => s.getAllKeys())) ?? []) if (!wanted.has(sha)) await this.run('readwrite', (s) => s.delete(sha));
    for (const sha of this.memory.keys()) if (!wanted.has(sha)) this.memory.delete(sha);
  },
};
