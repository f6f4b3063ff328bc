//! Hashing: the vectors of the standards, bad parameters, and jobs that are given up.
#![allow(clippy::unwrap_used)]

#[path = "support/on_loop.rs"]
mod on_loop;
mod support;

use std::cell::RefCell;
use std::future::IntoFuture;
use std::io::Write;
use std::rc::Rc;
use std::time::{Duration, Instant};

use fs_pool::hash::{
    Algorithm, Argon2id, Digest, Hash, HashError, HashLimits, Hasher, Hkdf, Pbkdf2, Scrypt, constant_time_eq,
};
use fs_pool::pool::{Cancel, Class, Pool, Shutdown};
use fs_pool::request::{LoopPool, Progress, RequestError};
use on_loop::{Gate, run};
use phaseloop::EventLoop;
use support::{PATIENCE, pool};

fn joined(workers: usize) -> (EventLoop, Pool, Hash) {
    let (lp, pool) = (EventLoop::new().unwrap(), pool(workers));
    let hash = Hash::new(&LoopPool::new(&lp, &pool));
    (lp, pool, hash)
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest(algorithm: Algorithm, bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(bytes);
    hasher.finish()
}

/// Waits until something is so that another thread brings about.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "never: {what}");
        std::thread::yield_now();
    }
}

/// Ends the pool; it waits for the jobs that run, so an endless one that ignores being given up would hang here.
fn end(pool: &Pool) {
    assert_eq!(pool.shutdown(Shutdown::Cancel).left, 0);
}

// --- vectors ----------------------------------------------------------------------------------------------------------

#[test]
fn digests_of_abc_are_those_of_fips_180_and_202() {
    for (algorithm, expected) in [
        (Algorithm::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (Algorithm::Sha224, "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"),
        (Algorithm::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            Algorithm::Sha384,
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
        ),
        (
            Algorithm::Sha512,
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        ),
        (Algorithm::Sha512_224, "4634270f707b6a54daae7530460842e20e37ed265ceee9a43e8924aa"),
        (Algorithm::Sha512_256, "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23"),
        (Algorithm::Sha3_224, "e642824c3f8cf24ad09234ee7d3c766fc9a3a5168d0c94ad73b46fdf"),
        (Algorithm::Sha3_256, "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"),
        (
            Algorithm::Sha3_384,
            "ec01498288516fc926459f58e2c6ad8df9b473cb0fc08c2596da7cf0e49be4b298d88cea927ac7f539f1edf228376d25",
        ),
        (
            Algorithm::Sha3_512,
            "b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0",
        ),
        (Algorithm::Blake3, "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"),
    ] {
        let got = digest(algorithm, b"abc");
        assert_eq!((got.to_string().as_str(), got.len()), (expected, algorithm.digest_len()), "{algorithm}");
    }
    let empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
    assert_eq!(digest(Algorithm::Blake3, b"").to_string(), empty);
}

#[test]
fn hmacs_are_those_of_rfc_4231() {
    let hash_key_first = "Test Using Larger Than Block-Size Key - Hash Key First";
    for (algorithm, key, text, expected) in [
        (
            Algorithm::Sha224,
            vec![0x0b; 20],
            "Hi There",
            "896fb1128abbdf196832107cd49df33f47b4b1169912ba4f53684b22",
        ),
        (
            Algorithm::Sha256,
            vec![0x0b; 20],
            "Hi There",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            Algorithm::Sha256,
            vec![0xaa; 131],
            hash_key_first,
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
        (
            Algorithm::Sha512,
            vec![0x0b; 20],
            "Hi There",
            "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
        ),
    ] {
        let mut hmac = Hasher::hmac(algorithm, key).unwrap();
        text.bytes().for_each(|byte| hmac.update([byte]));
        assert_eq!(hmac.finish().to_string(), expected, "{algorithm}");
    }
}

#[test]
fn pbkdf2_is_that_of_rfc_6070_and_7914() {
    let sha1 = |password: &str, salt: &str, iterations, len| {
        hex(Pbkdf2 { algorithm: Algorithm::Sha1, iterations }
            .derive(password.as_bytes(), salt.as_bytes(), len)
            .unwrap())
    };
    assert_eq!(sha1("password", "salt", 1, 20), "0c60c80f961f0e71f3a9b524af6012062fe037a6");
    assert_eq!(sha1("password", "salt", 2, 20), "ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957");
    assert_eq!(sha1("password", "salt", 4096, 20), "4b007901b765489abead49d926f721d065a429c1");
    let (password, salt) = ("passwordPASSWORDpassword", "saltSALTsaltSALTsaltSALTsaltSALTsalt");
    assert_eq!(sha1(password, salt, 4096, 25), "3d2eec4fe41c849b80c8d83662c0e44a8b291a964cf2f07038");
    assert_eq!(sha1("pass\0word", "sa\0lt", 4096, 16), "56fa6aa75548099dcc37d7f03425e0c3");
    let sha256 = Pbkdf2 { algorithm: Algorithm::Sha256, iterations: 1 };
    let expected = "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783";
    assert_eq!(hex(sha256.derive(b"passwd", b"salt", 64).unwrap()), expected);
}

#[test]
fn scrypt_is_that_of_rfc_7914() {
    let key = Scrypt { n: 16, r: 1, p: 1, ..Scrypt::default() }.derive(b"", b"", 64).unwrap();
    let expected = "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906";
    assert_eq!(hex(key), expected);
    let key = Scrypt { n: 1024, r: 8, p: 16, ..Scrypt::default() }.derive(b"password", b"NaCl", 64).unwrap();
    let expected = "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640";
    assert_eq!(hex(key), expected);
}

#[test]
fn argon2id_is_that_of_rfc_9106() {
    let (secret, associated) = (vec![3; 8], vec![4; 12]);
    let argon2id = Argon2id { memory_kib: 32, passes: 3, lanes: 4, secret, associated };
    let expected = "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659";
    assert_eq!(hex(argon2id.derive(&[1; 32], &[2; 16], 32).unwrap()), expected);
}

#[test]
fn hkdf_is_that_of_rfc_5869() {
    let hkdf = Hkdf { algorithm: Algorithm::Sha256 };
    let (salt, info): (Vec<u8>, Vec<u8>) = ((0..=0x0c).collect(), (0xf0..=0xf9).collect());
    let expected = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865";
    assert_eq!(hex(hkdf.derive(&[0x0b; 22], &salt, &info, 42).unwrap()), expected);
    let expected = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8";
    assert_eq!(hex(hkdf.derive(&[0x0b; 22], b"", b"", 42).unwrap()), expected);
}

#[test]
fn blake3_with_a_key_is_that_of_its_test_vectors() {
    // Of test_vectors.json in BLAKE3's repository: no input, the first 32 bytes.
    let hasher = Hasher::blake3_keyed(b"whats the Elvish word for friend");
    let expected = "92b2b75604ed3c761f9d6f62392c8a9227ad0ea3f09573e783f1498a4ed60d26";
    assert_eq!(hasher.finish().to_string(), expected);
}

// --- what is refused --------------------------------------------------------------------------------------------------

#[test]
fn a_bad_parameter_is_named_with_its_value() {
    let scrypt =
        |n, r, p| Scrypt { n, r, p, ..Scrypt::default() }.derive(b"", b"", 8).unwrap_err().to_string();
    assert_eq!(scrypt(3, 8, 1), "scrypt n is 3: it must be a power of two above 1");
    assert_eq!(scrypt(1, 8, 1), "scrypt n is 1: it must be a power of two above 1");
    assert_eq!(scrypt(0, 8, 1), "scrypt n is 0: it must be a power of two above 1");
    assert_eq!(scrypt(2, 0, 1), "scrypt r is 0: it must be above 0");
    assert_eq!(scrypt(2, 8, 0), "scrypt p is 0: it must be above 0");
    let product = (1_u64 << 32) - 1;
    assert_eq!(scrypt(2, u32::MAX, 1), format!("scrypt r times p is {product}: it must be below 1073741824"));
    assert_eq!(
        scrypt(1 << 15, 8, 1),
        "33557504 bytes of memory are needed, and 33554432 are allowed",
        "Node's maxmem refuses the same"
    );
    assert!(scrypt(1 << 63, 1 << 20, 1).starts_with("18446744073709551615 bytes of memory are needed"));

    let pbkdf2 = |algorithm, iterations, len| {
        Pbkdf2 { algorithm, iterations }.derive(b"", b"", len).unwrap_err().to_string()
    };
    assert_eq!(pbkdf2(Algorithm::Sha1, 0, 8), "pbkdf2 iterations is 0: it must be from 1 to 2147483647");
    assert_eq!(
        pbkdf2(Algorithm::Sha1, 1 << 31, 8),
        "pbkdf2 iterations is 2147483648: it must be from 1 to 2147483647"
    );
    assert_eq!(pbkdf2(Algorithm::Sha1, 1, 0), "pbkdf2 length is 0: it must be from 1 to 2147483647");
    assert_eq!(
        pbkdf2(Algorithm::Sha1, 1, 1 << 31),
        "pbkdf2 length is 2147483648: it must be from 1 to 2147483647"
    );
    assert_eq!(pbkdf2(Algorithm::Blake3, 1, 8), "blake3 has no HMAC");
    let kind = |algorithm, iterations| {
        let refused = Pbkdf2 { algorithm, iterations }.derive(b"", b"", 8).unwrap_err();
        std::io::Error::from(refused).kind()
    };
    use std::io::ErrorKind::{InvalidInput, Unsupported};
    assert_eq!((kind(Algorithm::Sha1, 0), kind(Algorithm::Blake3, 1)), (InvalidInput, Unsupported));

    let hkdf =
        |len| Hkdf { algorithm: Algorithm::Sha256 }.derive(b"", b"", b"", len).map_err(|e| e.to_string());
    assert_eq!(hkdf(255 * 32).unwrap().len(), 8160);
    assert_eq!(hkdf(255 * 32 + 1).unwrap_err(), "hkdf length is 8161: it must be at most 255 digests");
    assert_eq!(hkdf(0).unwrap_err(), "hkdf length is 0: it must be from 1 to 2147483647");

    let argon2id = |memory_kib, passes, lanes, salt: &[u8], len| {
        let argon2id = Argon2id { memory_kib, passes, lanes, ..Argon2id::default() };
        argon2id.derive(b"", salt, len).unwrap_err().to_string()
    };
    let salt = [0; 8];
    assert_eq!(argon2id(31, 1, 4, &salt, 8), "argon2id memory_kib is 31: it must be at least 8 a lane");
    assert_eq!(argon2id(8, 0, 1, &salt, 8), "argon2id passes is 0: it must be at least 1");
    assert_eq!(argon2id(8, 1, 0, &salt, 8), "argon2id lanes is 0: it must be from 1 to 16777215");
    assert_eq!(argon2id(8, 1, 1, &salt[1..], 8), "argon2id salt length is 7: it must be at least 8");
    assert_eq!(argon2id(8, 1, 1, &salt, 3), "argon2id length is 3: it must be at least 4");
}

#[test]
fn a_bad_parameter_comes_as_the_result_in_both_forms() {
    let (lp, _pool, hash) = joined(1);
    let bad = Scrypt { n: 3, ..Scrypt::default() };
    let awaited = lp.block_on(hash.scrypt(bad, "", "", 8).into_future()).unwrap();
    assert!(matches!(awaited, Err(HashError::Parameter { name: "scrypt n", value: 3, .. })));
    let seen = Rc::new(RefCell::new(None));
    let sink = Rc::clone(&seen);
    hash.scrypt(bad, "", "", 8).run(move |_, result| drop(sink.replace(Some(result)))).unwrap();
    assert!(seen.borrow().is_none(), "not inside the call");
    run(&lp);
    assert!(matches!(seen.take(), Some(Err(HashError::Parameter { .. }))));
}

#[test]
fn an_unknown_algorithm_and_a_mac_that_is_none_are_refused() {
    assert_eq!("md5".parse::<Algorithm>().unwrap_err().to_string(), "there is no hash algorithm \"md5\"");
    for algorithm in Algorithm::ALL {
        assert_eq!(algorithm.name().parse(), Ok(algorithm));
    }
    let refused = Hasher::hmac(Algorithm::Blake3, "key").unwrap_err();
    assert!(matches!(refused, HashError::Unsupported { algorithm: "blake3", .. }), "{refused}");
}

// --- on the pool ------------------------------------------------------------------------------------------------------

#[test]
fn bytes_readers_and_files_have_the_same_digest_whatever_the_chunks() {
    let (lp, pool) = (EventLoop::new().unwrap(), pool(2));
    let requests = LoopPool::new(&lp, &pool);
    let folder = std::env::temp_dir().join(format!("phaseloop-hash-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for (number, len) in [0_usize, 1, 63, 64, 65, 1000, 4096].into_iter().enumerate() {
        let bytes: Vec<u8> = (0..len).map(|at| (at * 31) as u8).collect();
        let path = folder.join(number.to_string());
        std::fs::File::create(&path).unwrap().write_all(&bytes).unwrap();
        for (algorithm, chunk_len) in
            Algorithm::ALL.into_iter().zip([1, 7, 64, 100, 4096].into_iter().cycle())
        {
            let hash = Hash::with_limits(&requests, HashLimits { chunk_len });
            let expected = digest(algorithm, &bytes);
            let progress = Progress::default();
            let got = lp.block_on(async {
                let whole = hash.digest(algorithm, bytes.clone()).await?;
                let read = hash.reader(Hasher::new(algorithm), &bytes[..]).await?;
                let file = hash.file(Hasher::new(algorithm), &path, &progress).await?;
                Ok::<_, HashError>([whole, read, file])
            });
            assert_eq!(got.unwrap().unwrap(), [expected; 3], "{algorithm} of {len} bytes by {chunk_len}");
            assert_eq!(progress.count(), len as u64);
        }
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let (lp, _pool, hash) = joined(1);
    for (path, said) in [("/nowhere/at/all", "\"/nowhere/at/all\""), ("/", "directory")] {
        let file = hash.file(Hasher::new(Algorithm::Sha256), path, &Progress::default());
        let error = lp.block_on(file.into_future()).unwrap().unwrap_err();
        assert!(matches!(error, HashError::Read { path: Some(_), .. }), "{error}");
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[test]
fn dropping_the_future_ends_a_job_that_would_never_end() {
    let (lp, pool, hash) = joined(2);
    let progress = Progress::default();
    let file = hash.file(Hasher::new(Algorithm::Sha256), "/dev/zero", &progress).spawn();
    let pbkdf2 = Pbkdf2 { algorithm: Algorithm::Sha512, iterations: i32::MAX as u32 };
    let key = hash.pbkdf2(pbkdf2, "password", "salt", 1 << 20).spawn();
    until("both run", || progress.count() > 0 && pool.snapshot().class(Class::CPU).running == 2);
    drop((file, key));
    end(&pool);
    run(&lp);
}

#[test]
fn a_timeout_ends_a_job_that_would_never_end() {
    let (lp, pool, hash) = joined(1);
    let file = hash.file(Hasher::new(Algorithm::Sha1), "/dev/zero", &Progress::default());
    let ended = lp.block_on(file.timeout(Duration::from_millis(5)).into_future()).unwrap();
    assert!(matches!(ended, Err(HashError::Request(RequestError::TimedOut))), "{ended:?}");
    end(&pool);
}

#[test]
fn a_queued_job_is_cancelled_by_its_name() {
    let (lp, pool) = (EventLoop::new().unwrap(), pool(1));
    let requests = LoopPool::new(&lp, &pool);
    let (gate, blocker) = Gate::new();
    requests.run(Class::CPU, blocker, |_, _| {}).unwrap();
    gate.wait_started();
    let seen = Rc::new(RefCell::new(None));
    let sink = Rc::clone(&seen);
    let on_done = move |_: &_, result| drop(sink.replace(Some(result)));
    let id = Hash::new(&requests).digest(Algorithm::Sha1, "").run(on_done).unwrap().expect("it is queued");
    requests.flush();
    assert_eq!(requests.cancel(id), Cancel::Cancelled);
    gate.open();
    run(&lp);
    assert!(matches!(seen.take(), Some(Err(HashError::Request(RequestError::Cancelled)))));
}

#[test]
fn random_bytes_differ_and_have_the_length_asked_for() {
    let (lp, _pool, hash) = joined(1);
    let draw = |len| lp.block_on(hash.random(len).into_future()).unwrap();
    let (one, other) = (draw(200_001).unwrap(), draw(200_001).unwrap());
    assert_eq!((one.len(), other.len()), (200_001, 200_001));
    assert_ne!(one, other);
    assert!(one[200_001 - 64..].iter().any(|byte| *byte != 0), "the last chunk was filled");
    assert_eq!(draw(0).unwrap_err().to_string(), "random length is 0: it must be from 1 to 2147483647");
}

#[test]
fn comparing_looks_at_all_bytes_and_the_length() {
    assert!(constant_time_eq(b"", b""));
    assert!(
        !constant_time_eq(b"abc", b"abd")
            && !constant_time_eq(b"abc", b"xbc")
            && !constant_time_eq(b"abc", b"ab")
    );
    assert_ne!(digest(Algorithm::Sha256, b"a"), digest(Algorithm::Sha3_256, b"a"));
}

#[test]
fn a_copy_of_a_hasher_goes_on_by_itself() {
    for mut hasher in Algorithm::ALL.map(Hasher::new) {
        hasher.update("a");
        let mut copy = hasher.clone();
        copy.update("bc");
        assert_eq!(copy.finish(), digest(hasher.algorithm(), b"abc"));
        assert_eq!(hasher.clone().finish(), digest(hasher.algorithm(), b"a"));
    }
}
