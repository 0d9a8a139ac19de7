//! What the files of a fixture hold: text that compresses about as source code does.
//! It knows no folders.

use super::plan::File;
use super::random::Random;

const LINES: &[&str] = &[
    "    const value_{} = await source.read(options.limit);\n",
    "    if (state.items[index].kind === \"pending_{}\") {\n",
    "        return { ok: false, error: new Failure(\"{}\", cause) };\n",
    "    }\n\n    // What {} holds is decided by the caller.\n",
    "export function handle_{}(request: Request, context: Context): Result {\n",
    "  \"identifier\": \"{}\",\n",
    "}\n\n/** Keeps {} until the next flush. */\n",
    "    for (const entry of registry.entries(\"{}\")) {\n",
    "import { create_{} } from \"../shared/create\";\n",
    ".panel-{} > .row { margin: 0 auto; padding: 4px 8px; }\n",
    "        logger.debug(\"step {} done\", { elapsed: clock.now() - begin });\n",
    "    this.listeners.get(\"{}\")?.forEach((listener) => listener(event));\n",
];

/// The bytes of a file. `place` names it: another place has other bytes.
pub(crate) fn bytes(file: &File, seed: u64, place: &str) -> Vec<u8> {
    let named = place.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    let mut random = Random::new(seed, named);
    let mut text = Vec::with_capacity(file.bytes + 128);
    text.extend_from_slice(b"// ");
    text.extend_from_slice(place.as_bytes());
    text.push(b'\n');
    while text.len() < file.bytes {
        let number = random.next();
        // Two of the parts of a line come from different bits of one number.
        let line = LINES[usize::try_from(number >> 60).unwrap_or(0) % LINES.len()];
        let (before, after) = line.split_once("{}").unwrap_or((line, ""));
        text.extend_from_slice(before.as_bytes());
        let mut rest = number & 0xFF_FFFF;
        for _ in 0..6 {
            text.push(b"0123456789abcdef"[usize::try_from(rest & 15).unwrap_or(0)]);
            rest >>= 4;
        }
        text.extend_from_slice(after.as_bytes());
    }
    text.truncate(file.bytes.max(1));
    if let Some(last) = text.last_mut() {
        *last = b'\n';
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_size_and_its_own_bytes() {
        let file = File {
            path: "src/a.ts".to_owned(),
            bytes: 3000,
        };
        let text = bytes(&file, 1, "a/src/a.ts");
        assert_eq!(text.len(), 3000);
        assert_eq!(text, bytes(&file, 1, "a/src/a.ts"));
        assert_ne!(text, bytes(&file, 1, "b/src/a.ts"));
        assert_ne!(text, bytes(&file, 2, "a/src/a.ts"));
        assert!(text.is_ascii());
    }
}
