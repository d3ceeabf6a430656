// people-systems.mjs - the ways of drawing a person, each with the attributes it can express and words that are true of its drawings.
//
// A system has: forms (form of hair -> names the package has for it), looks (what else makes the identity), expressions and clothes
// (phrase -> options), and draw(person, expression, clothes) -> SVG in which the clothes have the colour CLOTHES.  `region` finds the
// part of the SVG that is clothes and nothing else, where there is one: it is blackened whole for the matte, outlines too.
// Every table was made by looking at the drawings; names that look like nothing in particular are left out.
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

export const CLOTHES = '#c10735', TRIM = '#c10736', HAIR = '#0a7b41', SKIN = '#e4a679' // stand-ins, replaced in the text of the SVG

const v = (...numbers) => numbers.map(n => 'variant' + String(n).padStart(2, '0'))
const short = (...numbers) => numbers.map(n => 'short' + String(n).padStart(2, '0'))
const long = (...numbers) => numbers.map(n => 'long' + String(n).padStart(2, '0'))

// The element <g ...> that begins at `at`, to its own end.
function element(svg, at) {
    const tag = /<(\/?)g\b[^>]*?(\/?)>/g
    let depth = 0, m
    tag.lastIndex = at
    while ((m = tag.exec(svg))) {
        if (!m[2]) depth += m[1] ? -1 : 1
        if (!depth) return [at, tag.lastIndex]
    }
    throw new Error('a group without an end')
}
// The shapes from the first in the colour of the clothes on that are in it too, or only shade it.
const shapes = svg => {
    const run = new RegExp(`(?:<path (?=[^>]*(?:${CLOTHES}|fill-opacity))[^>]*/>)+`, 'y')
    run.lastIndex = svg.lastIndexOf('<path', svg.indexOf(CLOTHES))
    return run.test(svg) ? [svg.lastIndexOf('<path', svg.indexOf(CLOTHES)), run.lastIndex] : null
}
const groupWith = text => svg => { const at = svg.indexOf(text); return at < 0 ? null : element(svg, svg.lastIndexOf('<g', at)) }

export async function loadSystems(modules) {
    const require = createRequire(join(modules, 'x.js'))
    const load = name => import(pathToFileURL(require.resolve(name)))
    const { createAvatar } = await load('@dicebear/core')
    const React = require('react'), { renderToStaticMarkup } = require('react-dom/server')
    const facesjs = await load('facesjs')
    const Avataaar = require('avataaars').default
    const bigheads = require('@bigheads/core')

    // What is not named is switched off: a style's chance parts never appear by chance.
    function dicebear(style, options) {
        const all = { seed: 'x' }
        for (const part of Object.keys(style.schema.properties)) {
            if (part.endsWith('Probability')) continue
            if (part in options && options[part] !== undefined) all[part] = [].concat(options[part])
            if (part + 'Probability' in style.schema.properties) all[part + 'Probability'] = options[part] === undefined ? 0 : 100
        }
        return createAvatar(style, all).toString().replace(/<metadata[\s\S]*?<\/metadata>/, '')
    }
    async function diceSystem(name, system) {
        const style = await load('@dicebear/' + name)
        const about = JSON.parse(readFileSync(join(modules, '@dicebear', name, 'package.json'), 'utf8'))
        return { name, package: about.name, version: about.version, author: style.meta.creator,
                 licence: style.meta.license.name, ...system,
                 draw: (p, expression, clothes) => {
                     let svg = dicebear(style, { ...system.options(p), ...expression, ...clothes })
                     return system.touch ? system.touch(svg, p) : svg
                 } }
    }
    const packaged = (name, author, licence) =>
        ({ package: name, version: JSON.parse(readFileSync(join(modules, name, 'package.json'), 'utf8')).version, author, licence })
    const bare = hex => hex.slice(1)

    // ---- facesjs ----
    // Team colours: the clothes, then a dark and a light trim that stay.
    const face = (p, expression, jersey) => facesjs.faceToSvgString({
        fatness: p.pick('fat', [0, .2, .4, .6, .8, 1]), teamColors: [CLOTHES, '#3a3a44', '#f0f0f0'], hairBg: { id: 'none' },
        body: { id: p.pick('body', ['body', 'body2', 'body4', 'body5']), color: SKIN, size: p.man ? 1 : .87 }, jersey: { id: jersey },
        ear: { id: p.pick('ear', ['ear1', 'ear2', 'ear3']), size: p.pick('earsize', [.6, .8, 1, 1.2]) },
        head: { id: p.man ? p.pick('head', [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18].map(n => 'head' + n))
                          : p.pick('head', ['female1', 'female2', 'female3', 'head3', 'head5', 'head8']), shave: 'rgba(0,0,0,0)' },
        eyeLine: { id: p.man ? p.pick('line', ['none', 'none', 'line1', 'line3']) : 'none' }, smileLine: { id: 'none', size: 1 },
        miscLine: { id: p.pick('misc', p.man ? ['none', 'none', 'chin1', 'chin2', 'freckles1'] : ['none', 'none', 'freckles1', 'freckles2']) },
        facialHair: { id: p.look('beard') },
        eye: { id: p.man ? p.pick('eye', [1, 2, 3, 4, 8, 9, 10, 11].map(n => 'eye' + n)) : p.pick('eye', ['female1', 'female2', 'female6', 'female8', 'female9', 'eye9']),
               angle: p.pick('slant', [-4, 0, 4]) },
        eyebrow: { id: p.man ? p.pick('brow', [1, 2, 4, 5, 10, 12, 19].map(n => 'eyebrow' + n)) : p.pick('brow', ['female1', 'female2', 'female3', 'female5', 'female10']),
                   angle: expression.brow ?? 0 },
        hair: { id: p.hair, color: HAIR, flip: p.pick('flip', [false, true]) }, mouth: { id: expression.mouth, flip: false },
        nose: { id: p.pick('nose', ['nose1', 'nose2', 'nose3', 'nose5', 'nose6', 'nose9', 'nose10', 'nose11', 'nose12', 'nose13', 'small', 'honker']),
                flip: p.pick('noseflip', [false, true]), size: p.pick('nosesize', [.6, .8, 1]) },
        glasses: { id: p.look('glasses') }, accessories: { id: 'none' } })

    // ---- avataaars ---- colours are replaced by the stand-ins in the text
    const avataaar = (p, expression, clothes) => renderToStaticMarkup(React.createElement(Avataaar, {
        avatarStyle: 'Transparent', topType: p.hair, accessoriesType: p.look('glasses'), hairColor: 'Auburn', facialHairType: p.look('beard'),
        facialHairColor: 'Auburn', hatColor: 'PastelOrange', skinColor: 'Light', clotheType: clothes, clotheColor: 'Blue03', graphicType: p.pick('print', ['Skull', 'Bear', 'Deer', 'Diamond', 'Pizza']),
        eyeType: 'Default', eyebrowType: 'DefaultNatural', mouthType: 'Serious', ...expression }))
        .replaceAll('#A55728', HAIR).replaceAll('#EDB98A', SKIN).replaceAll('#25557C', CLOTHES).replaceAll('#FFDEB5', HAIR).replace(/<desc>.*?<\/desc>/, '')

    // ---- bigheads ---- its theme is a table of colours: the stand-ins go in
    const colours = bigheads.theme.colors
    colours.clothing.any = { base: CLOTHES, shadow: TRIM }
    colours.hair.any = { base: HAIR, shadow: HAIR + 'd8' }
    colours.skin.any = { base: SKIN, shadow: SKIN + 'd8' }
    const bighead = (p, expression, clothing) => renderToStaticMarkup(React.createElement(bigheads.BigHead, {
        skinTone: 'any', hairColor: 'any', clothingColor: 'any', hatColor: 'any', lipColor: 'red', circleColor: 'blue', faceMaskColor: 'red', graphic: 'none',
        hat: 'none', body: 'chest', mask: false, faceMask: false, lashes: !p.man, hair: p.hair, facialHair: p.look('beard'), accessory: p.look('glasses'), clothing, ...expression }))

    const systems = [
        { name: 'facesjs', ...packaged('facesjs', 'Jeremy Scheff', 'Apache-2.0'), outline: true,
          forms: { bald: ['bald'], balding: ['short-bald'], short: ['crop', 'short', 'short2', 'short3', 'parted', 'middle-part', 'emo', 'hair', 'shortBangs'],
                   spiky: ['spike', 'spike2', 'spike3', 'spike4', 'messy-short'], curly: ['curly', 'curly3', 'curlyFade1'], 'flat top': ['high'], mohawk: ['faux-hawk', 'fauxhawk-fade'],
                   bob: ['female1', 'female5', 'female6'], long: ['female7', 'female9'], wavy: ['female10'], bun: ['female8'], pigtails: ['female2'] },
          looks: { beard: { '': ['none'], beard: ['beard1', 'beard2', 'beard3', 'beard4', 'beard-point'], moustache: ['mustache1'] },
                   glasses: { '': ['none'], glasses: ['glasses1-secondary', 'glasses2-black'] } },
          expressions: [['', { mouth: 'straight' }], ['smiling', { mouth: 'smile4' }], ['laughing', { mouth: 'smile3', brow: -4 }], ['smiling', { mouth: 'smile2' }],
                        ['sad', { mouth: 'closed', brow: -14 }], ['angry', { mouth: 'angry', brow: 16 }]],
          clothes: [['a %c jersey', 'baseball'], ['a %c jersey', 'baseball2'], ['a %c football jersey', 'football'], ['a %c football jersey', 'football2'], ['a %c jersey', 'hockey2'],
                    ['a %c tank top', 'jersey'], ['a %c tank top', 'jersey2']],
          region: svg => { const body = element(svg, svg.indexOf('<g')); return element(svg, svg.indexOf('<g', body[1])) }, draw: face },

        { name: 'avataaars', ...packaged('avataaars', 'Pablo Stanley, Fang-Pen Lin', 'MIT'),
          forms: { bald: ['NoHair'], balding: ['ShortHairSides'], short: ['ShortHairShortFlat', 'ShortHairShortRound', 'ShortHairTheCaesar', 'ShortHairTheCaesarSidePart', 'ShortHairShortWaved'],
                   curly: ['ShortHairDreads01'], afro: ['LongHairFro'], bob: ['LongHairBob', 'LongHairMiaWallace', 'LongHairNotTooLong'],
                   long: ['LongHairStraight', 'LongHairStraight2', 'LongHairStraightStrand'], wavy: ['LongHairBigHair', 'LongHairCurvy'], bun: ['LongHairBun'],
                   'long curly': ['LongHairCurly'], hijab: ['Hijab'], turban: ['Turban'] },
          looks: { beard: { '': ['Blank'], beard: ['BeardMedium', 'BeardLight', 'BeardMajestic'], moustache: ['MoustacheFancy', 'MoustacheMagnum'] },
                   glasses: { '': ['Blank'], glasses: ['Prescription01', 'Prescription02', 'Round'], sunglasses: ['Sunglasses', 'Wayfarers', 'Kurt'] } },
          expressions: [['', {}], ['smiling', { mouthType: 'Twinkle' }], ['laughing', { mouthType: 'Smile', eyeType: 'Happy' }, 'eyes'], ['smiling', { mouthType: 'Smile' }],
                        ['sad', { mouthType: 'Sad', eyebrowType: 'SadConcernedNatural' }], ['angry', { mouthType: 'Serious', eyebrowType: 'Angry' }],
                        ['surprised', { mouthType: 'ScreamOpen', eyeType: 'Surprised', eyebrowType: 'RaisedExcited' }, 'eyes'], ['winking', { mouthType: 'Smile', eyeType: 'Wink' }, 'eyes'],
                        ['with closed eyes', { mouthType: 'Twinkle', eyeType: 'Close' }, 'eyes'], ['sticking the tongue out', { mouthType: 'Tongue' }], ['crying', { mouthType: 'Sad', eyeType: 'Cry' }, 'eyes'],
                        ['baring the teeth', { mouthType: 'Grimace' }]],
          clothes: [['a %c t-shirt', 'ShirtCrewNeck'], ['a %c t-shirt', 'ShirtScoopNeck'], ['a %c t-shirt', 'ShirtVNeck'], ['a %c hoodie', 'Hoodie'], ['a %c sweater with a white collar', 'CollarSweater'],
                    ['%c overalls', 'Overall'], ['a %c t-shirt with a print', 'GraphicShirt']],
          region: groupWith('id="Clothing/'), draw: avataaar },

        { name: 'bigheads', ...packaged('@bigheads/core', 'Robert Broersma', 'MIT'), outline: true,
          forms: { bald: ['none'], balding: ['balding'], short: ['short', 'buzz'], afro: ['afro'], bob: ['bob'], long: ['long'], bun: ['bun'] },
          looks: { beard: { '': ['none'], beard: ['mediumBeard'] }, glasses: { '': ['none'], glasses: ['roundGlasses'], sunglasses: ['shades'] } },
          expressions: [['', { eyes: 'normal', eyebrows: 'raised', mouth: 'serious' }], ['smiling', { eyes: 'normal', eyebrows: 'raised', mouth: 'openSmile' }],
                        ['laughing', { eyes: 'happy', eyebrows: 'raised', mouth: 'openSmile' }, 'eyes'], ['grinning', { eyes: 'normal', eyebrows: 'raised', mouth: 'grin' }],
                        ['sad', { eyes: 'normal', eyebrows: 'concerned', mouth: 'sad' }], ['angry', { eyes: 'normal', eyebrows: 'angry', mouth: 'serious' }],
                        ['surprised', { eyes: 'normal', eyebrows: 'raised', mouth: 'open' }], ['winking', { eyes: 'wink', eyebrows: 'raised', mouth: 'openSmile' }, 'eyes'],
                        ['with closed eyes', { eyes: 'content', eyebrows: 'raised', mouth: 'serious' }, 'eyes'], ['sticking the tongue out', { eyes: 'normal', eyebrows: 'raised', mouth: 'tongue' }]],
          clothes: [['a %c t-shirt', 'shirt'], ['a %c t-shirt', 'vneck'], ['a %c tank top', 'tankTop'], ['a %c t-shirt', 'shirt'], ['a %c t-shirt', 'vneck']], draw: bighead },

        await diceSystem('open-peeps', { outline: true,
          forms: { bald: ['noHair1'], short: ['short1', 'short2', 'short3', 'short5', 'pomp'], afro: ['afro'], bob: ['bangs2', 'medium2', 'mediumBangs'], long: ['long', 'longBangs', 'mediumStraight'],
                   wavy: ['longCurly'], 'flat top': ['flatTop', 'flatTopLong'], spiky: ['shaved3'] },
          coloured: { bald: ['noHair1'], short: ['grayShort', 'short4'], bob: ['bangs', 'grayMedium'], bun: ['grayBun'], mohawk: ['mohawk'] }, // the rest is drawn in ink
          looks: { beard: { '': [undefined], beard: ['full', 'full2', 'full3'], moustache: ['moustache6', 'moustache7'] },
                   glasses: { '': [undefined], glasses: ['glasses', 'glasses2', 'glasses3', 'glasses5'], sunglasses: ['sunglasses', 'sunglasses2'] } },
          colouredLooks: { beard: { '': [undefined], beard: ['full4'], moustache: ['moustache9'] } },
          options: p => ({ head: p.hair, facialHair: p.look('beard'), accessories: p.look('glasses'), skinColor: bare(SKIN), headContrastColor: bare(HAIR), clothingColor: bare(CLOTHES) }),
          expressions: [['', { face: 'serious' }], ['smiling', { face: 'smile' }], ['grinning', { face: 'smileBig' }], ['laughing', { face: 'smileLOL' }, 'eyes'], ['sad', { face: 'solemn' }, 'eyes'],
                        ['angry', { face: 'veryAngry' }], ['shouting in anger', { face: 'rage' }, 'eyes'], ['afraid', { face: 'fear' }, 'eyes'], ['with closed eyes', { face: 'eyesClosed' }, 'eyes'],
                        ['smiling', { face: 'cute' }], ['worried', { face: 'concerned' }], ['in love', { face: 'lovingGrin1' }, 'eyes']],
          clothes: [['a %c t-shirt', {}], ['a %c t-shirt', {}], ['a %c t-shirt', {}], ['a %c t-shirt', {}], ['a %c t-shirt', {}]] }),

        await diceSystem('pixel-art', {
          forms: { bald: [[]], balding: short(18), short: short(1, 2, 3, 4, 6, 8, 10, 15, 16, 17, 19, 22), curly: short(11, 13), bob: long(4, 16, 21), long: long(1, 7, 12, 13, 20), pigtails: long(18), bun: long(5) },
          looks: { beard: { '': [undefined], beard: v(5, 7) }, glasses: { '': [undefined], glasses: ['light05', 'light06', 'light07', 'dark05', 'dark06'], sunglasses: ['dark03'] } },
          options: p => ({ hair: p.hair, beard: p.look('beard'), glasses: p.look('glasses'), glassesColor: p.pick('rim', ['323232', '191919', '43677d', 'a04b5d']), eyes: p.pick('eyes', v(1, 6, 7, 8, 9, 11)),
                           eyesColor: p.pick('iris', ['76778b', '5b7c8b', '588387', '876658']), skinColor: bare(SKIN), hairColor: bare(HAIR), clothingColor: bare(CLOTHES), mouthColor: 'b8564f' }),
          touch: svg => svg.replace(/(<mask id="beard[^>]*><path [^>]*fill=")[^"]*/, '$1#fff'), // a beard as dark as its hair, not as faint
          expressions: [['', { mouth: 'sad05' }], ['smiling', { mouth: 'happy09' }], ['smiling', { mouth: 'happy07' }], ['grinning', { mouth: 'happy12' }], ['sad', { mouth: 'sad01' }],
                        ['surprised', { mouth: 'happy01' }]],
          clothes: [['a %c t-shirt', { clothing: v(3) }], ['a %c t-shirt', { clothing: v(5) }], ['a %c t-shirt', { clothing: v(11) }], ['a %c checked shirt', { clothing: v(6) }], ['a %c striped top', { clothing: v(13) }],
                    ['a %c sweater', { clothing: v(12) }], ['a %c tank top', { clothing: v(10) }], ['a %c t-shirt', { clothing: v(1) }]],
          region: shapes }),

        await diceSystem('personas', {
          forms: { bald: ['bald'], balding: ['balding'], short: ['shortCombover', 'fade', 'shortComboverChops'], curly: ['curlyHighTop'], afro: ['curly'], bob: ['bobCut', 'bobBangs'], long: ['extraLong', 'long'],
                   bun: ['straightBun', 'bunUndercut'], pigtails: ['pigtails'] },
          looks: { beard: { '': [undefined], beard: ['beardMustache'], moustache: ['walrus', 'pyramid'] }, glasses: { '': [undefined], glasses: ['glasses'], sunglasses: ['sunglasses'] } },
          options: p => ({ hair: p.hair, facialHair: p.look('beard'), nose: p.pick('nose', ['mediumRound', 'smallRound']), skinColor: bare(SKIN), hairColor: bare(HAIR), clothingColor: bare(CLOTHES),
                           eyes: p.look('glasses') ?? 'open' }),
          touch: svg => svg.replace(/style="mix-blend-mode:\w+" opacity="(\.\d+)"/g, (all, o) => `fill-opacity="${o === '.36' || o === '.26' ? '.1' : o}"`), fixed: ['eyes'],
          expressions: [['', { mouth: 'smirk' }], ['smiling', { mouth: 'smile' }], ['sad', { mouth: 'frown' }], ['surprised', { mouth: 'surprise' }], ['laughing', { mouth: 'bigSmile' }],
                        ['winking', { mouth: 'smile', eyes: 'wink' }, 'eyes'], ['with closed eyes', { mouth: 'smile', eyes: 'sleep' }, 'eyes'], ['laughing', { mouth: 'bigSmile', eyes: 'happy' }, 'eyes']],
          clothes: [['a %c t-shirt', { body: 'rounded' }], ['a %c t-shirt', { body: 'squared' }], ['a %c checked shirt', { body: 'checkered' }], ['a %c top', { body: 'small' }], ['a %c t-shirt', { body: 'rounded' }]],
          region: groupWith('translate(11 44)') }),

        await diceSystem('micah', { outline: true,
          forms: { bald: ['mrClean'], short: ['fonze'], bob: ['pixie'], wavy: ['full'], mohawk: ['mrT'], turban: ['turban'] },
          looks: { beard: { '': [undefined], beard: ['beard'] }, glasses: { '': [undefined], glasses: ['round', 'square'] } },
          options: p => ({ hair: p.hair, facialHair: p.look('beard'), glasses: p.look('glasses'), glassesColor: '000000', baseColor: bare(SKIN), hairColor: bare(HAIR), facialHairColor: bare(HAIR), shirtColor: bare(CLOTHES),
                           ears: p.pick('ears', ['attached', 'detached']), nose: p.pick('nose', ['curve', 'pointed', 'tound']), eyebrows: p.man ? p.pick('brow', ['up', 'down']) : p.pick('brow', ['up', 'eyelashesUp', 'eyelashesDown']),
                           earrings: p.man ? undefined : p.pick('ring', [undefined, undefined, 'hoop', 'stud']), earringColor: 'f4d150', mouthColor: '000000', eyesColor: '000000', eyebrowsColor: '000000' }),
          expressions: [['smiling', { mouth: 'smile', eyes: 'eyes' }], ['laughing', { mouth: 'laughing', eyes: 'smiling' }], ['sad', { mouth: 'sad', eyes: 'eyes' }],
                        ['surprised', { mouth: 'surprised', eyes: 'round' }], ['baring the teeth', { mouth: 'nervous', eyes: 'eyes' }], ['laughing', { mouth: 'laughing', eyes: 'eyes' }], ['puckering the lips', { mouth: 'pucker', eyes: 'eyes' }]],
          clothes: [['a %c sweater', { shirt: 'crew' }], ['a %c shirt with a collar', { shirt: 'collared' }], ['a %c t-shirt', { shirt: 'open' }], ['a %c sweater', { shirt: 'crew' }], ['a %c shirt with a collar', { shirt: 'collared' }]],
          touch: svg => svg.replaceAll(' style="mix-blend-mode:multiply"', ''), // of black
          region: groupWith('translate(53 272)') }),

        await diceSystem('toon-head', { outline: true,
          forms: { bald: [[]], short: ['sideComed', 'undercut'], spiky: ['spiky'], bun: ['bun'], bob: ['sideComed+neckHigh', 'sideComed+shoulderHigh'], long: ['sideComed+longStraight'], wavy: ['sideComed+longWavy'] },
          looks: { beard: { '': [undefined], beard: ['fullBeard', 'longBeard'], moustache: ['moustacheTwirl'] }, glasses: { '': [undefined] } },
          options: p => ({ hair: p.form === 'bald' ? undefined : p.hair.split('+')[0], rearHair: p.form === 'bald' ? undefined : p.hair.split('+')[1], beard: p.look('beard'), skinColor: bare(SKIN), hairColor: bare(HAIR),
                           clothesColor: bare(CLOTHES) }),
          expressions: [['smiling', { eyes: 'happy', mouth: 'smile', eyebrows: 'neutral' }], ['laughing', { eyes: 'happy', mouth: 'laugh', eyebrows: 'happy' }], ['sad', { eyes: 'happy', mouth: 'sad', eyebrows: 'sad' }],
                        ['angry', { eyes: 'happy', mouth: 'angry', eyebrows: 'angry' }], ['surprised', { eyes: 'wide', mouth: 'agape', eyebrows: 'raised' }], ['winking', { eyes: 'wink', mouth: 'laugh', eyebrows: 'neutral' }],
                        ['with closed eyes', { eyes: 'humble', mouth: 'smile', eyebrows: 'neutral' }]],
          clothes: [['a %c t-shirt', { clothes: 'tShirt' }], ['a %c shirt with a collar', { clothes: 'shirt' }], ['a %c turtleneck sweater', { clothes: 'turtleNeck' }], ['an open %c jacket', { clothes: 'openJacket' }],
                    ['a %c dress', { clothes: 'dress' }, 'woman']] }),

        await diceSystem('miniavs', {
          forms: { balding: ['slaughter'], short: ['classic01', 'classic02', 'elvis', 'stylish'], curly: ['curly'], long: ['long'] },
          looks: { beard: { '': [undefined], moustache: ['freddy', 'pencilThin', 'horshoe'] }, glasses: { '': [undefined], glasses: ['normal'] } },
          options: p => ({ hair: p.hair, mustache: p.look('beard'), glasses: p.look('glasses'), head: p.pick('head', ['normal', 'wide', 'thin']), blushes: p.man ? undefined : p.pick('blush', [undefined, 'default']),
                           skinColor: bare(SKIN), hairColor: bare(HAIR), bodyColor: bare(CLOTHES) }),
          expressions: [['smiling', { eyes: 'normal', mouth: 'default' }], ['smiling', { eyes: 'happy', mouth: 'default' }], ['smiling', { eyes: 'confident', mouth: 'default' }], ['smiling with a missing tooth', { eyes: 'normal', mouth: 'missingTooth' }],
                        ['smiling with a missing tooth', { eyes: 'happy', mouth: 'missingTooth' }]],
          clothes: [['a %c t-shirt', { body: 'tShirt' }], ['a %c turtleneck sweater', { body: 'golf' }], ['a %c t-shirt', { body: 'tShirt' }], ['a %c turtleneck sweater', { body: 'golf' }], ['a %c t-shirt', { body: 'tShirt' }]] }),

        // ---- ink on white: hair is black, skin is white ----
        await diceSystem('notionists', { ink: true, outline: true,
          forms: { short: v(1, 3, 5, 6, 7, 13, 16, 18, 25, 31, 34, 38, 49, 54, 55, 60), curly: v(9, 22, 33, 40), spiky: v(50, 51, 52, 53), bob: v(2, 4, 10, 43), long: v(23, 41), wavy: v(28, 36, 37, 58), ponytail: v(39, 45, 46, 47),
                   bun: v(29, 48, 57), hijab: v(62, 63) },
          looks: { beard: { '': [undefined], beard: v(2), moustache: v(3, 7, 9) }, glasses: { '': [undefined], glasses: v(3, 8, 11), sunglasses: v(1, 2, 5, 10) } },
          options: p => ({ hair: p.hair, beard: p.look('beard'), glasses: p.look('glasses'), base: 'variant01', eyes: p.pick('eyes', v(1, 2, 3, 4, 5)), nose: p.pick('nose', v(1, 3, 5, 7, 9, 11, 13, 15, 17, 19)) }),
          expressions: [['', { lips: v(4), brows: v(10) }], ['smiling', { lips: v(23), brows: v(10) }], ['laughing', { lips: v(25), brows: v(12) }], ['sad', { lips: v(18), brows: v(13) }], ['surprised', { lips: v(15), brows: v(11) }],
                        ['sticking the tongue out', { lips: v(12), brows: v(10) }], ['smiling', { lips: v(3), brows: v(12) }]],
          clothes: [['a black shirt', { body: v(2) }], ['a black jacket', { body: v(8) }], ['a spotted shirt', { body: v(15) }], ['a white jacket', { body: v(16) }], ['an open black jacket', { body: v(17) }],
                    ['a white shirt and a black tie', { body: v(20) }], ['a white sweater', { body: v(21) }], ['a white hoodie', { body: v(23) }], ['a spotted hoodie', { body: v(24) }], ['a white shirt with a pocket', { body: v(25) }],
                    ['an open jacket over a black shirt', { body: v(9) }]],
          region: groupWith('translate(178 1057)') }),

        await diceSystem('lorelei', { ink: true, outline: true, heads: true,
          forms: { balding: v(25), short: v(1, 2, 3, 7, 8, 12, 28, 43, 47), curly: v(5, 18, 24, 39), mohawk: v(27), bob: v(13, 15, 16, 19, 23), long: v(21, 40), wavy: v(35), ponytail: v(31, 33, 36, 41), bun: v(14, 38, 45, 46) },
          looks: { beard: { '': [undefined], beard: v(1, 2) }, glasses: { '': [undefined], glasses: v(1, 3, 4), sunglasses: v(2) } },
          options: p => ({ hair: p.hair, beard: p.look('beard'), glasses: p.look('glasses'), head: p.pick('head', v(1, 2, 3, 4)), nose: p.pick('nose', v(1, 2, 3, 4, 5, 6)),
                           freckles: p.pick('freckles', [undefined, undefined, undefined, 'variant01']), earrings: p.man ? undefined : p.pick('rings', [undefined, undefined, ...v(1, 2, 3)]),
                           eyes: p.pick('eyes', p.man ? v(5, 7, 10, 13, 16) : v(2, 4, 6, 14, 21, 24)), eyebrows: p.pick('brows', p.man ? v(3, 7, 10) : v(1, 2, 10)) }),
          expressions: [['', { mouth: 'happy14' }], ['smiling', { mouth: 'happy01' }], ['smiling', { mouth: 'happy05' }], ['grinning', { mouth: 'happy16' }], ['sad', { mouth: 'sad05' }], ['shocked', { mouth: 'sad01' }],
                        ['with closed eyes', { mouth: 'happy01', eyes: v(22) }, 'eyes'], ['winking', { mouth: 'happy01', eyes: v(15) }, 'eyes']], clothes: [] }),

        // ---- heads without clothes ----
        await diceSystem('adventurer', { outline: true, heads: true,
          forms: { bald: short(19), short: short(1, 4, 7, 8, 10, 11, 14), curly: short(3, 17, 18), spiky: short(16), mohawk: short(15), bob: long(1, 5, 21, 25), long: long(7, 9), wavy: long(24), ponytail: long(19), pigtails: long(14, 15),
                   bun: long(10, 11) },
          looks: { beard: { '': [undefined], moustache: ['mustache'] }, glasses: { '': [undefined], glasses: v(2, 4, 5), sunglasses: v(1) } },
          options: p => ({ hair: p.hair, features: p.look('beard') ?? p.pick('mark', [undefined, undefined, 'freckles', 'birthmark']), glasses: p.look('glasses'), skinColor: bare(SKIN), hairColor: bare(HAIR),
                           earrings: p.man ? undefined : p.pick('rings', [undefined, undefined, ...v(1, 2, 3, 4, 5)]), eyes: p.pick('eyes', p.man ? v(2, 3, 24, 25, 26) : v(1, 6, 23, 25, 26)), eyebrows: v(10) }),
          expressions: [['', { mouth: v(9) }], ['smiling', { mouth: v(2) }], ['laughing', { mouth: v(26) }], ['grinning', { mouth: v(23) }], ['angry', { mouth: v(11), eyebrows: v(2) }], ['surprised', { mouth: v(18) }],
                        ['sticking the tongue out', { mouth: v(16) }], ['winking', { mouth: v(2), eyes: v(21) }, 'eyes'], ['with closed eyes', { mouth: v(2), eyes: v(20) }, 'eyes']], clothes: [] }),

        await diceSystem('big-smile', { heads: true,
          forms: { short: ['shortHair', 'shavedHead', 'bowlCutHair'], curly: ['curlyShortHair'], bob: ['bangs', 'wavyBob'], long: ['straightHair'] },
          looks: { beard: { '': [undefined], moustache: ['mustache'] }, glasses: { '': [undefined], glasses: ['glasses'], sunglasses: ['sunglasses'] } },
          able: p => !(p.beard && p.glasses), // one accessory at a time
          options: p => ({ hair: p.hair, accessories: p.look('beard') ?? p.look('glasses'), face: 'base', skinColor: bare(SKIN), hairColor: bare(HAIR) }),
          expressions: [['', { eyes: 'normal', mouth: 'unimpressed' }], ['smiling', { eyes: 'normal', mouth: 'kawaii' }], ['laughing', { eyes: 'normal', mouth: 'openedSmile' }], ['grinning', { eyes: 'normal', mouth: 'teethSmile' }],
                        ['sad', { eyes: 'sad', mouth: 'openSad' }], ['angry', { eyes: 'angry', mouth: 'unimpressed' }, 'eyes'], ['winking', { eyes: 'winking', mouth: 'openedSmile' }, 'eyes'], ['with closed eyes', { eyes: 'sleepy', mouth: 'kawaii' }, 'eyes']],
          clothes: [] }),

        await diceSystem('croodles', { outline: true, heads: true, paper: true, // skin is the white of the page
          forms: { bald: v(28), balding: v(27), short: v(1, 3, 8, 9, 19, 29), spiky: v(2, 6, 7), curly: v(5, 18), 'long curly': v(11), long: v(12, 13, 14, 17), ponytail: v(15), pigtails: v(16) },
          looks: { beard: { '': [undefined], beard: v(4) }, glasses: { '': [undefined], glasses: v(13, 14, 15), sunglasses: v(9) } },
          options: p => ({ top: p.hair, beard: p.look('beard'), face: p.pick('face', v(1, 2, 3, 4, 5, 6, 7, 8)), nose: p.pick('nose', v(1, 2, 3, 4, 5, 6, 7, 8, 9)), topColor: bare(HAIR), baseColor: 'ffffff',
                           eyes: p.look('glasses') ?? p.pick('eyes', v(1, 11, 16)) }), fixed: ['eyes'],
          expressions: [['', { mouth: v(1) }], ['smiling', { mouth: v(7) }], ['laughing', { mouth: v(10) }], ['sad', { mouth: v(18) }], ['smiling', { mouth: v(16) }], ['baring the teeth', { mouth: v(12) }],
                        ['surprised', { mouth: v(1), eyes: v(2) }, 'eyes'], ['with closed eyes', { mouth: v(7), eyes: v(3) }, 'eyes']], clothes: [] }),
    ]
    return systems
}
