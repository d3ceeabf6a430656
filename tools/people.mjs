// people.mjs CACHE OUT [COUNT [TWINS]] - draw people in every system of people-systems.mjs; about COUNT (300) of each into OUT.
//
// CACHE/node_modules holds the packages (build-data.sh pins them).  Writes OUT/people.json and one SVG a person: a row of square cells,
// one a variant (other expression, other clothes), and, where the system draws clothes, the same row with the clothes black and the
// same with them white: their difference is where clothes are seen.
//
// Twins are one set of attributes drawn by every system that can: hair form and colour, skin, glasses, beard.  The rest of a system's
// people have attributes of their own.  Every choice is a hash of the person's key: the same packages give the same people.
import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { resolve, join } from 'node:path'
import { loadSystems, CLOTHES, TRIM, HAIR, SKIN } from './people-systems.mjs'

const CELL = 192, VARIANTS = 5

const skins = { pale: '#f8d9c0', light: '#e9b98f', tan: '#cc8f62', brown: '#9c6440', dark: '#63402f' }
const hairs = { black: '#221c1a', brown: '#704a2c', blond: '#e6c36b', red: '#c04a26', grey: '#b4b6ba', pink: '#ee82ae', blue: '#4d7fd8' }
const cloths = { red: '#d83a3a', blue: '#3a70d8', green: '#3da35a', yellow: '#f2ca3c', orange: '#f0893a', pink: '#f291ba', purple: '#8a58cb', black: '#2e2e34', grey: '#999fa6', white: '#f6f6f4' }

const worn = ['hijab', 'turban'] // instead of hair: the colour is the cloth's
const men = ['bald', 'bald', 'balding', 'short', 'short', 'short', 'short', 'short', 'spiky', 'spiky', 'curly', 'curly', 'afro', 'mohawk', 'flat top', 'turban']
const women = ['bob', 'bob', 'bob', 'long', 'long', 'long', 'wavy', 'wavy', 'bun', 'bun', 'ponytail', 'pigtails', 'long curly', 'afro', 'hijab']

const hash = text => createHash('sha256').update(text).digest().readUInt32BE(0)
const pick = (key, list) => list[hash(key) % list.length]
const ranked = (key, list) => list.map((x, i) => [hash(`${key}/${i}`), x]).sort((a, b) => a[0] - b[0]).map(x => x[1])

/* ---- attributes ---- */

function attributes(key) {
    const man = pick(key + ':man', [true, false]), form = pick(key + ':form', man ? men : women)
    const skin = pick(key + ':skin', ['pale', 'pale', 'light', 'light', 'light', 'tan', 'tan', 'brown', 'brown', 'dark'])
    let colour = worn.includes(form) ? pick(key + ':cloth', ['black', 'black', 'red', 'blue', 'green', 'purple'])
        : pick(key + ':colour', ['black', 'black', 'black', 'black', 'black', 'brown', 'brown', 'brown', 'blond', 'blond', 'red', 'red', 'grey', 'pink', 'blue'])
    if (skin === 'dark' && colour === 'brown') colour = 'black' // a brown moustache would not be seen
    return { key, man, form, colour, skin, glasses: pick(key + ':glasses', ['', '', '', '', '', 'glasses', 'glasses', 'glasses', 'sunglasses']),
             beard: man && form !== 'turban' ? pick(key + ':beard', ['', '', '', 'beard', 'beard', 'moustache']) : '' }
}

const an = words => words.replace(/\ba (?=[aeiou])/, 'an ')

// "a man with curly red hair, a beard and glasses"
function words(a) {
    const noun = a.man ? 'a man' : 'a woman', c = a.colour, list = []
    let start = noun
    if (worn.includes(a.form)) start = `${noun} in a ${c} ${a.form}`
    else if (a.form === 'bald' || a.form === 'balding') start = `a ${a.form} man`
    else list.push({ afro: `a ${c} afro`, mohawk: `a ${c} mohawk`, 'flat top': `a ${c} flat top`, bob: `a ${c} bob`, wavy: `long wavy ${c} hair`, bun: `${c} hair in a bun`,
                     ponytail: `${c} hair in a ponytail`, pigtails: `${c} pigtails` }[a.form] ?? `${a.form} ${c} hair`)
    if (a.beard) list.push('a ' + a.beard)
    if (a.glasses) list.push(a.glasses)
    return !list.length ? start : `${start} with ${list.length > 1 ? list.slice(0, -1).join(', ') + ' and ' : ''}${list[list.length - 1]}`
}

/* The names that system has for these attributes, or nothing where it cannot draw them. */
function cast(system, a) {
    const fair = a.skin === 'pale' || a.skin === 'light', hairless = a.form === 'bald' || worn.includes(a.form)
    if ((system.ink || system.paper) && !fair) return null
    if (system.ink && a.colour !== 'black' && a.form !== 'bald') return null
    const coloured = system.coloured && (a.colour !== 'black' || a.form === 'bald')
    const names = (coloured ? system.coloured : system.forms)[a.form]
    const looks = coloured ? { ...system.looks, ...system.colouredLooks } : system.looks
    if (!names || (a.beard && !looks.beard[a.beard]) || (a.glasses && !looks.glasses[a.glasses]) || (system.able && !system.able(a))) return null
    if (system.coloured && hairless && a.beard && a.colour === 'black') return null // no hair to tell its colour by
    const own = `${system.name}/${a.key}`
    return { ...a, own, hair: pick(own + ':hair', names), pick: (what, list) => pick(`${own}:${what}`, list), look: what => pick(`${own}:${what}`, looks[what][a[what]]) }
}

/* ---- pictures ---- */

const darker = hex => '#' + hex.slice(1).match(/../g).map(x => Math.round(parseInt(x, 16) * .86).toString(16).padStart(2, '0')).join('')

function dye(svg, stand, hex) {
    return svg.replace(new RegExp(stand + 'd8', 'gi'), darker(hex)).replace(new RegExp(stand, 'gi'), hex)
}

/* The same drawing without masks that only cut along a shape: a clip is drawn ten times faster.  What a style cuts at the edge of its
 * page, the cell cuts as well. */
function clip(svg) {
    const shapes = new Set()
    svg = svg.replace(/<mask id="viewboxMask">.*?<\/mask>/, '').replace('<g mask="url(#viewboxMask)">', '<g>')
    svg = svg.replace(/<mask id="([^"]+)"([^>]*)>(<(?:path|use)\b[^>]*?(?:\/>|><\/use>))<\/mask>/g, (all, id, head, shape) => {
        if (!/fill="(white|#fff)"/.test(head + shape) || /opacity/.test(shape)) return all
        shapes.add(id)
        return `<clipPath id="${id}">${shape}</clipPath>`
    })
    return svg.replace(/\bmask="url\(#([^)]+)\)"/g, (all, id) => shapes.has(id) ? `clip-path="url(#${id})"` : all)
}

/* All that is painted between a and b, in one colour; masks keep theirs. */
function repaint(svg, [a, b], hex) {
    const paint = part => part.replace(/\b(fill|stroke)(="|:\s*)(#[0-9a-f]{3,8}|black|white)/gi, (all, what, sign) => what + sign + hex)
    return svg.slice(0, a) + svg.slice(a, b).split(/(<mask[\s\S]*?<\/mask>)/).map(p => p.startsWith('<mask') ? p : paint(p)).join('') + svg.slice(b)
}

function dress(system, svg, hex, whole) {
    const region = whole && system.region ? system.region(svg) : null
    if (region) svg = repaint(svg, region, hex)
    return svg.replaceAll(CLOTHES, hex).replaceAll(TRIM, whole ? hex : darker(hex))
}

/* One drawing in its cell; names inside are made its own. */
function place(svg, tag, column, row) {
    const [, head, body] = svg.match(/<svg\b([^>]*)>([\s\S]*)<\/svg>\s*$/)
    const kept = (head.match(/\b(viewBox|fill|shape-rendering)="[^"]*"/g) ?? []).join(' ')
    const own = body.replace(/\bid="([^"]+)"/g, `id="${tag}$1"`).replace(/url\(#([^)]+)\)/g, `url(#${tag}$1)`).replace(/href="#([^"]+)"/g, `href="#${tag}$1"`)
    return `<svg x="${column * CELL}" y="${row * CELL}" width="${CELL}" height="${CELL}" ${kept}>${own}</svg>\n`
}

function undressed(system, p, expression, clothes) {
    let svg = clip(system.draw(p, expression, clothes))
    svg = dye(svg, SKIN, skins[p.skin])
    return dye(svg, HAIR, worn.includes(p.form) ? cloths[p.colour] : hairs[p.colour])
}

function draw(system, p) {
    const blind = p.glasses === 'sunglasses' || (system.fixed && p.glasses)
    const [first, ...others] = system.expressions.filter(e => !(e[2] === 'eyes' && blind))
    const faces = [first, ...ranked(p.own + ':face', others)].slice(0, VARIANTS)
    const clothes = ranked(p.own + ':clothes', system.clothes.filter(c => c[2] !== 'woman' || !p.man))
    const colours = ranked(p.own + ':cloth', Object.keys(cloths).filter(c => system.outline || c !== 'white'))
    const rows = clothes.length ? 3 : 1, variants = []
    let cells = ''
    faces.forEach(([phrase, face], i) => {
        const [wear, options] = clothes.length ? clothes[i % clothes.length] : ['', {}], svg = undressed(system, p, face, options)
        for (let row = 0; row < rows; row++) cells += place(dress(system, svg, [cloths[colours[i]], '#000000', '#ffffff'][row], row > 0), `v${i}r${row}`, i, row)
        variants.push({ expression: phrase, clothes: an(wear.replace('%c', colours[i])) })
    })
    return { variants, rows, svg: `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 ${CELL * faces.length} ${CELL * rows}">\n${cells}</svg>\n` }
}

/* ---- everybody ---- */

const [cache, out, count = 300, ntwins = 400] = process.argv.slice(2)
if (!out) {
    console.error('usage: node people.mjs CACHE OUT [COUNT [TWINS]]')
    process.exit(2)
}
console.error = () => {} // React's development build explains itself at length
const systems = await loadSystems(resolve(cache, 'node_modules'))
mkdirSync(out, { recursive: true })
const people = []
for (const system of systems) {
    const seen = new Set()
    const add = (a, twin) => {
        const p = cast(system, a)
        if (!p) return
        const look = createHash('sha256').update(undressed(system, p, system.expressions[0][1], (system.clothes[0] ?? ['', {}])[1])).digest('hex')
        if (seen.has(look)) return // another key, the same person
        seen.add(look)
        const drawn = draw(system, p), file = `${system.name}-${String(seen.size).padStart(4, '0')}.svg`
        writeFileSync(join(out, file), drawn.svg)
        people.push({ file, system: system.name, twin, identity: twin || `${system.name} ${a.key}`, noun: a.man ? 'a man' : 'a woman', words: words(a), matte: drawn.rows > 1, variants: drawn.variants })
    }
    for (let i = 0; i < ntwins && seen.size < count; i++) add(attributes(`twin ${i}`), `twin ${i}`)
    for (let i = 0; i < 40 * count && seen.size < count; i++) add(attributes(`${system.name} ${i}`), '')
    console.log(`${system.name}: ${seen.size}, of them ${people.filter(p => p.system === system.name && p.twin).length} twins`)
}
const sources = systems.map(({ name, package: from, version, licence, author }) => ({ system: name, package: from, version, licence, author }))
writeFileSync(join(out, 'people.json'), JSON.stringify({ format: 'dreamo-people', version: 1, systems: sources, people }, null, 1))
console.log(`${people.length} people`)
