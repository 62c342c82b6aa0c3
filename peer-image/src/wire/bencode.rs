//! Bencoding (BEP 3): a parser that borrows from its input, and an encoder.
//!
//! The parser is for hostile input: it never recurses deeper than [`DEPTH_MAX`], never holds more than
//! [`VALUES_MAX`] values, and believes no length before the bytes are there. Integers and lengths have one spelling.
//! Dictionary keys must be unique; unsorted ones are taken, because real torrents have them, but never written.
//! It must not know what any dictionary means.

use std::collections::BTreeMap;

/// Deepest nesting that is parsed: a tracker's reply needs 3 levels, a multi-file torrent 5.
pub const DEPTH_MAX: usize = 16;

/// Most values in one document: bounds memory, since a value of 2 bytes takes some 40 parsed.
pub const VALUES_MAX: usize = 100_000;

/// Longest piece of the offending input that an error quotes, bytes.
const EXCERPT_MAX: usize = 40;

/// A parsed value; strings and raw dictionaries borrow from the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// `i…e`; BEP 3 sets no bounds, 64 bits hold every field that we know.
    Integer(i64),
    /// `length:bytes`, not necessarily text.
    Bytes(&'a [u8]),
    /// `l…e`.
    List(Vec<Value<'a>>),
    /// `d…e`.
    Dict(Dict<'a>),
}

/// A dictionary, by key.
#[derive(Debug, Clone, Default)]
pub struct Dict<'a> {
    entries: BTreeMap<&'a [u8], Value<'a>>,
    raw: &'a [u8],
}

/// Two dictionaries are equal if their entries are, however they were spelt.
impl PartialEq for Dict<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl Eq for Dict<'_> {}

/// Input that is not one bencoded value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BencodeError {
    /// The input ends within a value.
    #[error("the input ends at byte {offset}, where {want} should be")]
    Truncated {
        /// Length of the input.
        offset: usize,
        /// What was expected.
        want: &'static str,
    },
    /// A byte that cannot stand there.
    #[error("`{}` at byte {offset}, where {want} should be", byte.escape_ascii())]
    Unexpected {
        /// Where.
        offset: usize,
        /// The byte.
        byte: u8,
        /// What was expected.
        want: &'static str,
    },
    /// An integer or a length that has no digits, a leading zero, a negative zero, or does not fit.
    #[error("`{text}` at byte {offset} is not {want}")]
    Number {
        /// Where.
        offset: usize,
        /// What stands there.
        text: String,
        /// What was expected.
        want: &'static str,
    },
    /// A string that is longer than the rest of the input.
    #[error("a string of `{length}` bytes at byte {offset}, where {rest} are left")]
    StringLength {
        /// Where its bytes would begin.
        offset: usize,
        /// The length that was sent.
        length: usize,
        /// How many bytes there are.
        rest: usize,
    },
    /// Nested deeper than [`DEPTH_MAX`].
    #[error("nested deeper than {DEPTH_MAX} at byte {offset}")]
    Depth {
        /// Where the first level too many begins.
        offset: usize,
    },
    /// More than [`VALUES_MAX`] values.
    #[error("more than {VALUES_MAX} values at byte {offset}")]
    Values {
        /// Where the first value too many begins.
        offset: usize,
    },
    /// A key that is there twice.
    #[error("key `{key}` for the second time at byte {offset}")]
    Duplicate {
        /// Where the second one begins.
        offset: usize,
        /// The key.
        key: String,
    },
    /// Something after the value.
    #[error("{rest} bytes after the value's end at byte {offset}")]
    Trailing {
        /// Where the value ended.
        offset: usize,
        /// How many bytes follow.
        rest: usize,
    },
}

/// A field of a dictionary that is not what its reader needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadField {
    /// It is not there.
    #[error("key `{key}` is missing")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// It has another type.
    #[error("key `{key}` is {got}, not {want}")]
    Kind {
        /// The key.
        key: &'static str,
        /// The type that it has.
        got: &'static str,
        /// The type that it should have.
        want: &'static str,
    },
    /// It is out of range, or not text where text is needed.
    #[error("key `{key}` is `{got}`, not {want}")]
    Value {
        /// The key.
        key: &'static str,
        /// The value, shortened.
        got: String,
        /// What it should be.
        want: &'static str,
    },
}

/// The beginning of `bytes`, printable: what an error quotes.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(EXCERPT_MAX)];
    let more = if shown.len() < bytes.len() { "…" } else { "" };
    format!("{}{more}", shown.escape_ascii())
}

impl<'a> Value<'a> {
    /// Parses all of `input` as one value.
    ///
    /// # Errors
    /// If it is not exactly one well-formed value within the limits of this module.
    pub fn parse(input: &'a [u8]) -> Result<Self, BencodeError> {
        let mut parser = Parser { input, at: 0, values: 0 };
        let value = parser.value(0)?;
        match input.len() - parser.at {
            0 => Ok(value),
            rest => Err(BencodeError::Trailing { offset: parser.at, rest }),
        }
    }

    /// Appends the one canonical spelling of this value to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Integer(number) => out.extend_from_slice(format!("i{number}e").as_bytes()),
            Self::Bytes(bytes) => encode_bytes(bytes, out),
            Self::List(items) => {
                out.push(b'l');
                items.iter().for_each(|item| item.encode(out));
                out.push(b'e');
            }
            Self::Dict(dict) => dict.encode(out),
        }
    }

    /// What kind of value this is, for an error.
    fn kind(&self) -> &'static str {
        match self {
            Self::Integer(_) => "an integer",
            Self::Bytes(_) => "a string",
            Self::List(_) => "a list",
            Self::Dict(_) => "a dictionary",
        }
    }

    /// The dictionary that this value must be; `key` is where it stands, for the error.
    ///
    /// # Errors
    /// If it is something else.
    pub fn as_dict(&self, key: &'static str) -> Result<&Dict<'a>, BadField> {
        match self {
            Self::Dict(dict) => Ok(dict),
            other => Err(BadField::Kind { key, got: other.kind(), want: "a dictionary" }),
        }
    }
}

impl<'a> Dict<'a> {
    /// A dictionary to be encoded: the keys are sorted by it, and of equal keys the last one counts.
    #[must_use]
    pub fn of(entries: impl IntoIterator<Item = (&'a str, Value<'a>)>) -> Self {
        let entries = entries.into_iter().map(|(key, value)| (key.as_bytes(), value)).collect();
        Self { entries, raw: &[] }
    }

    /// The bytes that this was parsed from, `d` to `e`; empty if it was not parsed.
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// What stands under `key`, if anything does.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<&Value<'a>> {
        self.entries.get(key.as_bytes())
    }

    /// Appends its canonical spelling to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(b'd');
        for (key, value) in &self.entries {
            encode_bytes(key, out);
            value.encode(out);
        }
        out.push(b'e');
    }

    /// What stands under `key`.
    ///
    /// # Errors
    /// If nothing does.
    pub fn value(&self, key: &'static str) -> Result<&Value<'a>, BadField> {
        self.find(key).ok_or(BadField::Missing { key })
    }

    /// The string under `key`.
    ///
    /// # Errors
    /// If there is none.
    pub fn bytes(&self, key: &'static str) -> Result<&'a [u8], BadField> {
        match self.value(key)? {
            Value::Bytes(bytes) => Ok(bytes),
            other => Err(BadField::Kind { key, got: other.kind(), want: "a string" }),
        }
    }

    /// The UTF-8 string under `key`.
    ///
    /// # Errors
    /// If there is none or it is not UTF-8.
    pub fn text(&self, key: &'static str) -> Result<&'a str, BadField> {
        let bytes = self.bytes(key)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text),
            Err(_) => Err(BadField::Value { key, got: excerpt(bytes), want: "UTF-8" }),
        }
    }

    /// The integer under `key`, as the unsigned type that its reader needs.
    ///
    /// # Errors
    /// If there is none, or it is negative or too big for `T`: `want` says what it should be.
    pub fn unsigned<T: TryFrom<i64>>(&self, key: &'static str, want: &'static str) -> Result<T, BadField> {
        match self.value(key)? {
            Value::Integer(number) => {
                let out_of_range = || BadField::Value { key, got: number.to_string(), want };
                T::try_from(*number).ok().ok_or_else(out_of_range)
            }
            other => Err(BadField::Kind { key, got: other.kind(), want: "an integer" }),
        }
    }

    /// The dictionary under `key`.
    ///
    /// # Errors
    /// If there is none.
    pub fn dict(&self, key: &'static str) -> Result<&Dict<'a>, BadField> {
        self.value(key)?.as_dict(key)
    }
}

fn encode_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{}:", bytes.len()).as_bytes());
    out.extend_from_slice(bytes);
}

struct Parser<'a> {
    input: &'a [u8],
    at: usize,
    values: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self, want: &'static str) -> Result<u8, BencodeError> {
        self.input.get(self.at).copied().ok_or(BencodeError::Truncated { offset: self.input.len(), want })
    }

    /// Whether the list or dictionary ends here; steps over its end.
    fn ends(&mut self, want: &'static str) -> Result<bool, BencodeError> {
        let end = self.peek(want)? == b'e';
        self.at += usize::from(end);
        Ok(end)
    }

    /// `depth` is the number of lists and dictionaries around this value: the recursion's bound.
    fn value(&mut self, depth: usize) -> Result<Value<'a>, BencodeError> {
        let offset = self.at;
        self.values += 1;
        if self.values > VALUES_MAX {
            return Err(BencodeError::Values { offset });
        }
        match self.peek("a value")? {
            b'i' => self.integer().map(Value::Integer),
            b'0'..=b'9' => self.string().map(Value::Bytes),
            b'l' | b'd' if depth == DEPTH_MAX => Err(BencodeError::Depth { offset }),
            b'l' => self.list(depth + 1).map(Value::List),
            b'd' => self.dict(depth + 1).map(Value::Dict),
            byte => Err(BencodeError::Unexpected { offset, byte, want: "a value" }),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Value<'a>>, BencodeError> {
        self.at += 1;
        let mut items = Vec::new();
        while !self.ends("a value or `e`")? {
            items.push(self.value(depth)?);
        }
        Ok(items)
    }

    fn dict(&mut self, depth: usize) -> Result<Dict<'a>, BencodeError> {
        let start = self.at;
        self.at += 1;
        let mut entries = BTreeMap::new();
        while !self.ends("a key or `e`")? {
            let offset = self.at;
            let key = self.string()?;
            let value = self.value(depth)?;
            if entries.insert(key, value).is_some() {
                return Err(BencodeError::Duplicate { offset, key: excerpt(key) });
            }
        }
        Ok(Dict { entries, raw: &self.input[start..self.at] })
    }

    /// The number from here to `end`, which is stepped over.
    fn number<T: std::str::FromStr>(&mut self, end: u8, want: &'static str) -> Result<T, BencodeError> {
        let offset = self.at;
        let rest = &self.input[offset..];
        let length = rest.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b'-')).unwrap_or(rest.len());
        let text = &rest[..length];
        self.at += length;
        let byte = self.peek(want)?;
        if byte != end {
            return Err(BencodeError::Unexpected { offset: self.at, byte, want });
        }
        self.at += 1;
        let digits = text.strip_prefix(b"-").unwrap_or(text);
        let canonical = match digits {
            [b'0'] => text == b"0",
            [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
            _ => false,
        };
        let parsed = std::str::from_utf8(text).ok().filter(|_| canonical).and_then(|text| text.parse().ok());
        parsed.ok_or_else(|| BencodeError::Number { offset, text: excerpt(text), want })
    }

    fn integer(&mut self) -> Result<i64, BencodeError> {
        self.at += 1;
        self.number(b'e', "an integer of 64 bits")
    }

    fn string(&mut self) -> Result<&'a [u8], BencodeError> {
        let length = self.number(b':', "a string's length")?;
        let rest = &self.input[self.at..];
        let Some(bytes) = rest.get(..length) else {
            return Err(BencodeError::StringLength { offset: self.at, length, rest: rest.len() });
        };
        self.at += length;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(value: &Value<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        value.encode(&mut out);
        out
    }

    /// A value that owns its strings, since a strategy cannot borrow.
    #[derive(Debug, Clone)]
    enum Tree {
        Integer(i64),
        Bytes(Vec<u8>),
        List(Vec<Tree>),
        Dict(BTreeMap<Vec<u8>, Tree>),
    }

    impl Tree {
        fn value(&self) -> Value<'_> {
            match self {
                Self::Integer(number) => Value::Integer(*number),
                Self::Bytes(bytes) => Value::Bytes(bytes),
                Self::List(items) => Value::List(items.iter().map(Self::value).collect()),
                Self::Dict(entries) => Value::Dict(Dict {
                    entries: entries.iter().map(|(key, tree)| (key.as_slice(), tree.value())).collect(),
                    raw: &[],
                }),
            }
        }
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), 0..40)
    }

    fn tree() -> impl Strategy<Value = Tree> {
        let leaf = prop_oneof![any::<i64>().prop_map(Tree::Integer), bytes().prop_map(Tree::Bytes)];
        leaf.prop_recursive(5, 60, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Tree::List),
                prop::collection::btree_map(bytes(), inner, 0..6).prop_map(Tree::Dict),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_encoded_parses_to_the_same_value(tree in tree()) {
            let bytes = encoded(&tree.value());
            prop_assert_eq!(Value::parse(&bytes), Ok(tree.value()));
        }

        #[test]
        fn arbitrary_bytes_are_a_value_or_an_error(input in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Value::parse(&input);
        }

        #[test]
        fn what_parses_is_spelt_canonically_from_then_on(
            input in prop::collection::vec(prop::sample::select(b"idle0123:-x".as_slice()), 0..40)
        ) {
            if let Ok(value) = Value::parse(&input) {
                let bytes = encoded(&value);
                prop_assert_eq!(bytes.len(), input.len(), "only the order of keys may differ");
                prop_assert_eq!(Value::parse(&bytes), Ok(value));
            }
        }

        #[test]
        fn a_truncated_value_is_never_a_value(tree in tree(), cut in any::<prop::sample::Index>()) {
            let bytes = encoded(&tree.value());
            prop_assert!(Value::parse(&bytes[..cut.index(bytes.len())]).is_err());
        }
    }

    #[test]
    fn numbers_have_one_spelling() {
        for bad in
            ["i00e", "i-0e", "i01e", "i-01e", "ie", "i-e", "i--1e", "i1-e", "i+1e", "i 1e", "i9223372036854775808e"]
        {
            assert!(Value::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        for bad in ["01:a", "-1:a", ":a", "1a", "99999999999999999999:a"] {
            assert!(Value::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert_eq!(Value::parse(b"i-9223372036854775808e"), Ok(Value::Integer(i64::MIN)));
        assert_eq!(Value::parse(b"0:"), Ok(Value::Bytes(b"")));
    }

    #[test]
    fn an_error_names_the_offset_and_the_offending_value() {
        let message = |input: &[u8]| Value::parse(input).unwrap_err().to_string();
        assert_eq!(message(b"d1:ai1e1:ai2ee"), "key `a` for the second time at byte 7");
        assert_eq!(message(b"l4:abc"), "a string of `4` bytes at byte 3, where 3 are left");
        assert_eq!(message(b"li007ee"), "`007` at byte 2 is not an integer of 64 bits");
        assert_eq!(message(b"i1ei2e"), "3 bytes after the value's end at byte 3");
        assert_eq!(message(b"\xff"), "`\\xff` at byte 0, where a value should be");
        assert_eq!(message(b"l"), "the input ends at byte 1, where a value or `e` should be");
    }

    #[test]
    fn nesting_and_the_number_of_values_are_bounded() {
        let deep = |n: usize| [vec![b'l'; n], vec![b'e'; n]].concat();
        assert!(Value::parse(&deep(DEPTH_MAX)).is_ok());
        assert_eq!(Value::parse(&deep(DEPTH_MAX + 1)), Err(BencodeError::Depth { offset: DEPTH_MAX }));
        assert!(matches!(Value::parse(&vec![b'l'; 1 << 20]), Err(BencodeError::Depth { .. })));
        let wide = [b"l".as_slice(), &b"0:".repeat(VALUES_MAX), b"e"].concat();
        assert!(matches!(Value::parse(&wide), Err(BencodeError::Values { .. })));
    }

    #[test]
    fn unsorted_keys_are_taken_and_the_raw_bytes_kept() {
        let input = b"d1:bd1:zi1e1:yi2ee1:ai3ee";
        let value = Value::parse(input).unwrap();
        let dict = value.as_dict("top").unwrap();
        assert_eq!(dict.dict("b").unwrap().raw(), b"d1:zi1e1:yi2ee");
        assert_eq!(encoded(&value), b"d1:ai3e1:bd1:yi2e1:zi1eee");
    }

    #[test]
    fn a_field_of_the_wrong_kind_is_named() {
        let value = Value::parse(b"d1:ni-3e1:s2:\xff\xfee").unwrap();
        let dict = value.as_dict("top").unwrap();
        assert_eq!(dict.bytes("x").unwrap_err().to_string(), "key `x` is missing");
        assert_eq!(dict.bytes("n").unwrap_err().to_string(), "key `n` is an integer, not a string");
        assert_eq!(
            dict.unsigned::<u32>("n", "a number of peers").unwrap_err().to_string(),
            "key `n` is `-3`, not a number of peers"
        );
        assert_eq!(dict.text("s").unwrap_err().to_string(), "key `s` is `\\xff\\xfe`, not UTF-8");
    }
}
