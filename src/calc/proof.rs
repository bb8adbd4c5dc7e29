//! `jijia calc proof`: an inclusion or consistency proof checked (RFC 6962, RFC 9162).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::evidence::merkle::Hash;
use crate::evidence::proof::{verify_consistency, verify_inclusion};

/// `{"kind":"inclusion","leafIdx","treeSize","root","leafHash","proof"}` or
/// `{"kind":"consistency","size1","size2","root1","root2","proof"}`, hashes in base64, `proof` a list or null →
/// `{"ok":true}` or `{"ok":false,"reason":…}`. A malformed hash proves nothing: that is an answer, not an error.
///
/// # Errors
/// `Invalid` at the key that is missing or wrong.
pub fn proof(input: &Value) -> Result<Value> {
    let checked = match input["kind"].as_str() {
        Some("inclusion") => {
            let (index, size) = (whole(input, "leafIdx")?, whole(input, "treeSize")?);
            let (root, leaf) = (text(input, "root")?, text(input, "leafHash")?);
            hashes(input)?.and_then(|proof| {
                let (root, leaf) = (hash("root", root)?, hash("leafHash", leaf)?);
                verify_inclusion(&leaf, index, size, &proof, &root)
            })
        }
        Some("consistency") => {
            let (from, to) = (whole(input, "size1")?, whole(input, "size2")?);
            let (root1, root2) = (text(input, "root1")?, text(input, "root2")?);
            hashes(input)?.and_then(|proof| {
                let (root1, root2) = (hash("root1", root1)?, hash("root2", root2)?);
                verify_consistency(from, &root1, to, &root2, &proof)
            })
        }
        _ => return Err(Error::invalid("kind", "allowed: inclusion, consistency")),
    };
    Ok(match checked {
        Ok(()) => json!({"ok": true}),
        Err(reason) => json!({"ok": false, "reason": reason.to_string()}),
    })
}

/// A whole number from 0, as a number or as a decimal string.
fn whole(input: &Value, key: &str) -> Result<u64> {
    let number = match &input[key] {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| Error::invalid(key, format!("{}; allowed: a whole number from 0", input[key])))
}

fn text<'a>(input: &'a Value, key: &str) -> Result<&'a str> {
    input[key].as_str().ok_or_else(|| Error::invalid(key, "allowed: a hash in base64"))
}

/// The proof's hashes; inside, what is malformed among them.
fn hashes(input: &Value) -> Result<Result<Vec<Hash>>> {
    let wrong = || Error::invalid("proof", "allowed: a list of hashes in base64, or null");
    let list = match &input["proof"] {
        Value::Null => &Vec::new(),
        Value::Array(list) => list,
        _ => return Err(wrong()),
    };
    let texts: Vec<&str> = list.iter().map(|h| h.as_str().ok_or_else(wrong)).collect::<Result<_>>()?;
    Ok(texts.iter().enumerate().map(|(i, h)| hash(&format!("proof[{i}]"), h)).collect())
}

fn hash(place: &str, text: &str) -> Result<Hash> {
    let bytes = STANDARD.decode(text).ok().and_then(|b| b.try_into().ok());
    bytes.ok_or_else(|| Error::invalid(place, "is not a hash: 32 bytes in base64"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=";

    #[test]
    fn as_the_shell_says_it() {
        let same = json!({"kind": "consistency", "size1": 1, "size2": "1", "root1": ONE, "root2": ONE, "proof": null});
        assert_eq!(proof(&same).unwrap(), json!({"ok": true}));
        let lone = json!({"kind": "inclusion", "leafIdx": 0, "treeSize": 1, "root": ONE, "leafHash": ONE, "proof": []});
        assert_eq!(proof(&lone).unwrap(), json!({"ok": true}));
        for (key, bad, reason) in [
            ("proof", json!([""]), "proof[0]: is not a hash"),
            ("proof", json!([ONE]), "proof: has hashes left over"),
            ("root", json!("AAAA"), "root: is not a hash"),
            ("leafHash", json!("?"), "leafHash: is not a hash"),
            ("leafIdx", json!(1), "index: 1 is outside"),
            ("treeSize", json!(2), "proof: ends below the root"),
        ] {
            let mut input = lone.clone();
            input[key] = bad;
            let answer = proof(&input).unwrap();
            assert_eq!(answer["ok"], false);
            assert!(answer["reason"].as_str().unwrap().starts_with(reason), "{answer}");
        }
    }

    #[test]
    fn errors_name_the_field() {
        let good = json!({"kind": "inclusion", "leafIdx": 0, "treeSize": 1, "root": ONE, "leafHash": ONE, "proof": []});
        for (key, bad) in [
            ("kind", json!("x")),
            ("leafIdx", json!(-1)),
            ("treeSize", json!("one")),
            ("root", json!(null)),
            ("leafHash", json!(3)),
            ("proof", json!("x")),
            ("proof", json!([1])),
        ] {
            let mut input = good.clone();
            input[key] = bad;
            let message = proof(&input).unwrap_err().to_string();
            assert!(message.starts_with(&format!("{key}: ")) && message.contains("allowed"), "{message}");
        }
    }
}
