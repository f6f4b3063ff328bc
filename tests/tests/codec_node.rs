//! Hashes and compressed bytes against those of a real Node: the same digests and keys, and each reads what the other wrote.
#![allow(clippy::unwrap_used)]

use std::future::IntoFuture;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use fs_pool::compress::{Brotli, Compress, Deflate, Format, Zstd};
use fs_pool::hash::{Algorithm, Hash, Hasher, Hkdf, Pbkdf2, Scrypt};
use fs_pool::pool::Pool;
use fs_pool::request::LoopPool;
use phaseloop::EventLoop;
use phaseloop_tests::peers::peer;

fn joined() -> (EventLoop, LoopPool) {
    let (lp, pool) = (EventLoop::new().unwrap(), Pool::builder().env(|_| None).build().unwrap());
    let joined = LoopPool::new(&lp, &pool);
    (lp, joined)
}

/// Runs a script that reads standard input as `input` and leaves its answer in `out`.
fn ask(node: &Path, script: &str, input: &[u8]) -> Vec<u8> {
    let script = format!(
        "const zlib = require('zlib'), crypto = require('crypto'); \
         const input = require('fs').readFileSync(0); let out; {script}; process.stdout.write(out);"
    );
    let mut child = Command::new(node)
        .args(["-e", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writing = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    assert!(output.status.success(), "{script}");
    output.stdout
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Lines of text with some noise between them: neither shrinks to nothing nor stays as it is.
fn text() -> Vec<u8> {
    (0..5000_u32)
        .flat_map(|line| format!("line {line} of {:x}\n", line.wrapping_mul(0x9e37_79b9)).into_bytes())
        .collect()
}

// --- hashing ----------------------------------------------------------------------------------------------------------

#[test]
fn digests_and_macs_are_those_of_node() {
    let Some(node) = peer("node") else { return };
    let text = text();
    let algorithms = Algorithm::ALL.into_iter().filter(|algorithm| *algorithm != Algorithm::Blake3);
    let mut ours = String::new();
    let mut names = Vec::new();
    for algorithm in algorithms {
        names.push(algorithm.name());
        let mut hash = Hasher::new(algorithm);
        let mut mac = Hasher::hmac(algorithm, "a key").unwrap();
        text.chunks(1000).for_each(|chunk| {
            hash.update(chunk);
            mac.update(chunk);
        });
        ours.push_str(&format!("{} {}\n", hash.finish(), mac.finish()));
    }
    let script = format!(
        "out = {names:?}.map(name => crypto.createHash(name).update(input).digest('hex') + ' ' \
         + crypto.createHmac(name, 'a key').update(input).digest('hex') + '\\n').join('')"
    );
    assert_eq!(String::from_utf8(ask(&node, &script, &text)).unwrap(), ours);
}

#[test]
fn derived_keys_are_those_of_node() {
    let Some(node) = peer("node") else { return };
    let (lp, pool) = joined();
    let hash = Hash::new(&pool);
    let ours = lp.block_on(async {
        let mut all = String::new();
        for algorithm in ["sha1", "sha224", "sha256", "sha384", "sha512", "sha3-256"] {
            let algorithm = algorithm.parse().unwrap();
            let pbkdf2 = Pbkdf2 { algorithm, iterations: 1500 };
            all += &hex(hash.pbkdf2(pbkdf2, "password", "salt", 150).await.unwrap());
            all += &hex(hash.hkdf(Hkdf { algorithm }, "key", "salt", "info", 150).await.unwrap());
            all += "\n";
        }
        for (n, r, p) in [(2, 1, 1), (1024, 8, 2), (16_384, 8, 1)] {
            let scrypt = Scrypt { n, r, p, ..Scrypt::default() };
            all += &hex(hash.scrypt(scrypt, "password", "salt", 99).await.unwrap());
        }
        all
    });
    let script = "const hex = bytes => Buffer.from(bytes).toString('hex'); \
        out = ['sha1', 'sha224', 'sha256', 'sha384', 'sha512', 'sha3-256'].map(name => \
            hex(crypto.pbkdf2Sync('password', 'salt', 1500, 150, name)) + hex(crypto.hkdfSync(name, 'key', 'salt', 'info', 150)) + '\\n').join('') \
        + [[2, 1, 1], [1024, 8, 2], [16384, 8, 1]].map(([N, r, p]) => hex(crypto.scryptSync('password', 'salt', 99, { N, r, p }))).join('')";
    assert_eq!(String::from_utf8(ask(&node, script, b"")).unwrap(), ours.unwrap());
}

#[test]
fn scrypt_allows_the_same_memory_as_node() {
    let Some(node) = peer("node") else { return };
    let (n, r, p) = (1024, 8, 2);
    let least = 128 * u64::from(r) * (n + u64::from(p) + 2);
    for (memory_max, is_enough) in [(least, true), (least - 1, false)] {
        let ours = Scrypt { n, r, p, memory_max }.derive(b"p", b"s", 8).is_ok();
        let script = format!(
            "try {{ crypto.scryptSync('p', 's', 8, {{ N: {n}, r: {r}, p: {p}, maxmem: {memory_max} }}); out = 'true' }} \
             catch (error) {{ out = 'false' }}"
        );
        let theirs = String::from_utf8(ask(&node, &script, b"")).unwrap();
        assert_eq!((ours, theirs), (is_enough, is_enough.to_string()), "{memory_max}");
    }
}

// --- compression ------------------------------------------------------------------------------------------------------

/// Each side reads what the other wrote. The scripts are expressions over `input`.
fn interchange(node: &Path, format: &impl Format, encode: &str, decode: &str) {
    let (lp, pool) = joined();
    let compress = Compress::new(&pool);
    for text in [vec![], b"x".to_vec(), text()] {
        let ours = lp.block_on(compress.encode(format, text.clone()).into_future()).unwrap().unwrap();
        assert!(ask(node, &format!("out = {decode}"), &ours) == text, "node's {decode} of ours");
        let theirs = ask(node, &format!("out = {encode}"), &text);
        let back = lp.block_on(compress.decode(format, theirs.clone()).into_future()).unwrap().unwrap();
        assert!(back == text, "ours of node's {encode}");
        let read = lp.block_on(async {
            let mut reader = compress.decode_reader(format, &theirs[..], 1 << 24).unwrap();
            let mut all = Vec::new();
            futures::AsyncReadExt::read_to_end(&mut reader, &mut all).await.map(|_| all)
        });
        assert!(read.unwrap().unwrap() == text, "our reader of node's {encode}");
    }
}

#[test]
fn gzip_goes_both_ways() {
    let Some(node) = peer("node") else { return };
    for level in [0, 1, 6, 9] {
        let encode = format!("zlib.gzipSync(input, {{ level: {level} }})");
        interchange(&node, &Deflate::gzip().level(level), &encode, "zlib.gunzipSync(input)");
    }
}

#[test]
fn zlib_and_raw_deflate_go_both_ways_with_and_without_a_dictionary() {
    let Some(node) = peer("node") else { return };
    let words = "line 1 of 9e3779b9";
    let with = format!("{{ dictionary: Buffer.from('{words}') }}");
    let (zlib, raw) = (Deflate::zlib(), Deflate::raw());
    interchange(&node, &zlib, "zlib.deflateSync(input)", "zlib.inflateSync(input)");
    interchange(&node, &raw, "zlib.deflateRawSync(input)", "zlib.inflateRawSync(input)");
    let (encode, decode) =
        (format!("zlib.deflateSync(input, {with})"), format!("zlib.inflateSync(input, {with})"));
    interchange(&node, &zlib.dictionary(words.as_bytes()), &encode, &decode);
    let encode = format!("zlib.deflateRawSync(input, {with})");
    let decode = format!("zlib.inflateRawSync(input, {with})");
    interchange(&node, &raw.dictionary(words.as_bytes()), &encode, &decode);
}

#[test]
fn brotli_goes_both_ways() {
    let Some(node) = peer("node") else { return };
    for quality in [1, 5, 11] {
        let encode = format!(
            "zlib.brotliCompressSync(input, {{ params: {{ [zlib.constants.BROTLI_PARAM_QUALITY]: {quality} }} }})"
        );
        interchange(&node, &Brotli::new().quality(quality), &encode, "zlib.brotliDecompressSync(input)");
    }
}

#[test]
fn zstd_goes_both_ways_where_node_has_it() {
    let Some(node) = peer("node") else { return };
    if ask(&node, "out = typeof zlib.zstdCompressSync", b"") != b"function" {
        // Not a missing program: Debian's node is older than 22.15, and its zlib has no zstd.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: zstd_goes_both_ways_where_node_has_it: this node has no zstd"
        );
        return;
    }
    interchange(&node, &Zstd::new(), "zlib.zstdCompressSync(input)", "zlib.zstdDecompressSync(input)");
}

#[test]
fn what_follows_a_gzip_member_is_taken_as_node_takes_it() {
    let Some(node) = peer("node") else { return };
    let (lp, pool) = joined();
    let compress = Compress::new(&pool);
    let member = |text: &'static str| {
        lp.block_on(compress.encode(&Deflate::gzip(), text).into_future()).unwrap().unwrap()
    };
    let (first, second) = (member("abc"), member("def"));
    for tail in [
        &second[..],
        &second[..second.len() - 1],
        &[0; 10],
        &[&[0][..], &second].concat(),
        &[0x50; 10],
        &[0x1f],
        &[0x1f, 0x8b],
        &[0x1f, 0x8b, 0xff, 0xff],
        &[],
    ] {
        let bytes = [&first[..], tail].concat();
        let theirs = ask(
            &node,
            "try { out = 'ok ' + zlib.gunzipSync(input) } catch (error) { out = error.message }",
            &bytes,
        );
        let ours = match lp.block_on(compress.decode(&Deflate::gzip(), bytes).into_future()).unwrap() {
            Ok(text) => format!("ok {}", String::from_utf8(text).unwrap()),
            Err(error @ fs_pool::compress::CompressError::Truncated { .. }) => {
                assert!(error.to_string().contains("ends too early"), "{error}");
                "unexpected end of file".to_owned()
            }
            Err(error) => error.to_string().split(": ").last().unwrap().to_owned(),
        };
        assert_eq!(ours, String::from_utf8(theirs).unwrap(), "{tail:02x?}");
    }
}
