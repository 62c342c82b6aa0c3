//! The experiment file as it was written: a tree of nodes in the file's order, duplicate keys included.
//!
//! The only file that names the YAML crate. It knows nothing of what keys mean; [`super::experiment`] gives them meaning
//! and asks for the position of a node only where there is something to report.
//!
//! The crate gives positions in its errors alone. So each node and each key gets a number in the order of reading,
//! and [`Document::position`] reads the text again with a visitor that fails at that number: the error's location
//! is the node's.

use std::cell::Cell;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IgnoredAny, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use serde_yaml::Deserializer as Yaml;

use crate::spec::error::{Position, Problem};

/// Longest experiment file, bytes: far above any that a person writes, far below what could exhaust memory.
pub(crate) const SIZE_MAX: usize = 1 << 20;

/// Most nodes of a file, aliases counted each time that they are used (an alias of aliases of aliases is a bomb).
pub(crate) const NODES_MAX: u32 = 100_000;

/// A node or a key, by its number in the order of reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(u32);

/// A file that was read.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    text: String,
    /// Its outermost node.
    pub root: Node,
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// Its number.
    pub id: NodeId,
    /// What was written.
    pub value: Value,
}

/// What was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// Nothing, `~` or `null`.
    Empty,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i128),
    /// A number with a fraction.
    Float(f64),
    /// Anything else that is no list and no mapping.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the file's order, duplicates included.
    Map(Vec<Entry>),
}

/// One line of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// The key's number.
    pub id: NodeId,
    /// The key.
    pub key: String,
    /// Its value.
    pub value: Node,
}

impl Value {
    /// What kind of thing it is, for a message.
    #[must_use]
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Empty => "nothing",
            Self::Bool(_) => "a yes or no",
            Self::Integer(_) | Self::Float(_) => "a bare number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }

    /// The text of a scalar; `None` for lists and mappings.
    #[must_use]
    pub(crate) fn scalar(&self) -> Option<String> {
        match self {
            Self::Empty => Some(String::new()),
            Self::Bool(b) => Some(b.to_string()),
            Self::Integer(n) => Some(n.to_string()),
            Self::Float(x) => Some(x.to_string()),
            Self::Text(text) => Some(text.trim().to_owned()),
            Self::List(_) | Self::Map(_) => None,
        }
    }
}

/// Most brackets within each other.
const DEPTH_MAX: usize = 100;

/// How many brackets are open at once, at most; those in texts and comments counted too.
fn deepest(text: &str) -> usize {
    let (mut depth, mut most) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        most = most.max(depth);
    }
    most
}

impl Document {
    /// Reads the text of an experiment file.
    ///
    /// # Errors
    /// If it is too large, is not YAML, holds no document or several, or its outermost node is no mapping.
    pub(crate) fn read(text: &str) -> Result<Self, Problem> {
        // Some editors begin a file with a byte order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.len() > SIZE_MAX {
            return Err(Problem::of_file(format!("the file has {} bytes", text.len()))
                .hint(format!("an experiment file has at most {SIZE_MAX}; is this one?")));
        }
        if let Some(offset) = text.find(|c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            let before = &text[..offset];
            let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
            let position = Position { line: before.matches('\n').count() + 1, column };
            return Err(Problem::of_file("the file holds a control character")
                .at(Some(position))
                .hint("is this a text file?"));
        }
        if deepest(text) > DEPTH_MAX {
            // The library finds it out too, in a time that grows with the square of the depth.
            return Err(Problem::of_file(format!("more than {DEPTH_MAX} brackets within each other"))
                .hint("an experiment file needs a handful; is this one?"));
        }
        let count = Cell::new(0);
        let mut documents = Yaml::from_str(text);
        let Some(first) = documents.next() else { return Err(empty()) };
        let root = Reader { count: &count, target: None }.deserialize(first).map_err(|error| not_yaml(&error))?;
        if root.value == Value::Empty {
            return Err(empty());
        }
        if let Some(second) = documents.next() {
            let position = Reader { count: &Cell::new(0), target: Some(NodeId(0)) }
                .deserialize(second)
                .err()
                .and_then(|error| position_of(&error));
            return Err(Problem::of_file("the file holds more than one YAML document")
                .at(position)
                .hint("write one experiment to a file"));
        }
        let mut document = Self { text: text.to_owned(), root };
        if let Err(id) = merge(&mut document.root) {
            return Err(Problem::of_file("`<<` stands before what is no mapping")
                .at(document.position(id))
                .hint("it takes in a mapping, `<<: *anchor`, or several, `<<: [*one, *other]`"));
        }
        if let Value::Map(entries) = &mut document.root.value {
            entries.retain(|entry| !entry.key.starts_with(EXTENSION));
        }
        if !matches!(document.root.value, Value::Map(_)) {
            let kind = document.root.value.kind();
            return Err(Problem::of_file(format!("the file is {kind}, not a mapping"))
                .at(document.position(document.root.id))
                .hint("an experiment begins with `name: …`"));
        }
        Ok(document)
    }

    /// Where a node or a key stands in the file; of an alias, where its anchor stands. Reads the text again.
    #[must_use]
    pub(crate) fn position(&self, id: NodeId) -> Option<Position> {
        let first = Yaml::from_str(&self.text).next()?;
        let error = Reader { count: &Cell::new(0), target: Some(id) }.deserialize(first).err()?;
        position_of(&error)
    }
}

/// Keys of the whole file that begin so are the user's own: a place for anchors, which nothing else reads.
pub(super) const EXTENSION: &str = "x-";

/// Puts into each mapping what `<<` takes in, as YAML 1.1 has it: what stands in the mapping itself counts, then what comes
/// first. An error is the value that cannot be taken in.
fn merge(node: &mut Node) -> Result<(), NodeId> {
    match &mut node.value {
        Value::Empty | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_) => {}
        Value::List(items) => items.iter_mut().try_for_each(merge)?,
        Value::Map(entries) => {
            entries.iter_mut().try_for_each(|entry| merge(&mut entry.value))?;
            let (taken_in, mut own): (Vec<Entry>, Vec<Entry>) =
                std::mem::take(entries).into_iter().partition(|entry| entry.key == "<<");
            for entry in taken_in {
                let sources = match entry.value.value {
                    Value::List(items) => items,
                    value => vec![Node { id: entry.value.id, value }],
                };
                for source in sources {
                    let Value::Map(source_entries) = source.value else { return Err(source.id) };
                    for new in source_entries {
                        if own.iter().all(|it| it.key != new.key) {
                            own.push(new);
                        }
                    }
                }
            }
            *entries = own;
        }
    }
    Ok(())
}

fn empty() -> Problem {
    Problem::of_file("the file is empty").hint("an experiment begins with `name: …`")
}

fn position_of(error: &serde_yaml::Error) -> Option<Position> {
    error.location().map(|location| Position { line: location.line(), column: location.column() })
}

fn not_yaml(error: &serde_yaml::Error) -> Problem {
    let position = position_of(error);
    let mut message = error.to_string();
    if let Some(Position { line, column }) = position {
        message = message.replacen(&format!(" at line {line} column {column}"), "", 1);
    }
    Problem::of_file(message).at(position)
}

/// Reads a node and everything under it, or fails at a target.
#[derive(Clone, Copy)]
struct Reader<'a> {
    count: &'a Cell<u32>,
    target: Option<NodeId>,
}

impl Reader<'_> {
    fn number<E: serde::de::Error>(self) -> Result<NodeId, E> {
        let id = self.count.get();
        if id >= NODES_MAX {
            return Err(E::custom(format_args!(
                "the file comes to more than {NODES_MAX} values (hint: are there aliases of aliases?)"
            )));
        }
        self.count.set(id + 1);
        Ok(NodeId(id))
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        let id = self.number()?;
        let value = deserializer.deserialize_any(AnyValue { reader: self, fail: self.target == Some(id) })?;
        Ok(Node { id, value })
    }
}

/// Visits one value.
struct AnyValue<'a> {
    reader: Reader<'a>,
    fail: bool,
}

impl AnyValue<'_> {
    fn scalar<E: serde::de::Error>(&self, value: Value) -> Result<Value, E> {
        if self.fail { Err(E::custom("here")) } else { Ok(value) }
    }
}

impl<'de> Visitor<'de> for AnyValue<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Value, E> {
        self.scalar(Value::Empty)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<Value, E> {
        self.scalar(Value::Empty)
    }

    fn visit_bool<E: serde::de::Error>(self, b: bool) -> Result<Value, E> {
        self.scalar(Value::Bool(b))
    }

    fn visit_i64<E: serde::de::Error>(self, n: i64) -> Result<Value, E> {
        self.scalar(Value::Integer(n.into()))
    }

    fn visit_u64<E: serde::de::Error>(self, n: u64) -> Result<Value, E> {
        self.scalar(Value::Integer(n.into()))
    }

    fn visit_i128<E: serde::de::Error>(self, n: i128) -> Result<Value, E> {
        self.scalar(Value::Integer(n))
    }

    fn visit_u128<E: serde::de::Error>(self, n: u128) -> Result<Value, E> {
        // Beyond every range that is checked later, so the exact value no longer matters.
        self.scalar(i128::try_from(n).map_or_else(|_| Value::Text(n.to_string()), Value::Integer))
    }

    fn visit_f64<E: serde::de::Error>(self, x: f64) -> Result<Value, E> {
        self.scalar(Value::Float(x))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        self.scalar(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        if self.fail {
            return Err(A::Error::custom("here"));
        }
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self.reader)? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        if self.fail {
            return Err(A::Error::custom("here"));
        }
        let mut map = Vec::new();
        while let Some((id, key)) = entries.next_key_seed(Key(self.reader))? {
            let value = entries.next_value_seed(self.reader)?;
            map.push(Entry { id, key, value });
        }
        Ok(Value::Map(map))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Value, A::Error> {
        let (tag, content) = data.variant::<String>()?;
        content.newtype_variant::<IgnoredAny>()?;
        Err(A::Error::custom(format_args!("the tag `!{tag}` means nothing here (hint: leave it out)")))
    }
}

/// Reads a key: like a value, but it must be a scalar.
struct Key<'a>(Reader<'a>);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = (NodeId, String);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let id = self.0.number()?;
        let value =
            deserializer.deserialize_any(KeyText(AnyValue { reader: self.0, fail: self.0.target == Some(id) }))?;
        Ok((id, value))
    }
}

/// Visits one key. Fails inside the visit, so that the error gets the key's location.
struct KeyText<'a>(AnyValue<'a>);

impl<'de> Visitor<'de> for KeyText<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key, which is a word")
    }

    fn visit_bool<E: serde::de::Error>(self, b: bool) -> Result<String, E> {
        self.0.scalar(Value::Empty).map(|_| b.to_string())
    }

    fn visit_i64<E: serde::de::Error>(self, n: i64) -> Result<String, E> {
        self.0.scalar(Value::Empty).map(|_| n.to_string())
    }

    fn visit_u64<E: serde::de::Error>(self, n: u64) -> Result<String, E> {
        self.0.scalar(Value::Empty).map(|_| n.to_string())
    }

    fn visit_f64<E: serde::de::Error>(self, x: f64) -> Result<String, E> {
        self.0.scalar(Value::Empty).map(|_| x.to_string())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<String, E> {
        self.0.scalar(Value::Empty).map(|_| text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find<'a>(node: &'a Node, path: &[&str]) -> &'a Entry {
        let Value::Map(entries) = &node.value else { panic!("no mapping: {node:?}") };
        let entry = entries.iter().find(|entry| entry.key == path[0]).expect("the key");
        if path.len() == 1 { entry } else { find(&entry.value, &path[1..]) }
    }

    #[test]
    fn keys_and_values_know_their_line_and_column() {
        let text = "# a comment\nname: x\nfile: { size: 32 MiB,\n        piece: 256 KiB }\nchurn:\n  session:\n    fixed:\n      after:   10 s\npeers: [5,\n  10]\nrepeats: 3\nflag: true\nhalf: 0.5\nquoted: \"a b\"\nnothing:\n";
        let document = Document::read(text).expect("valid");
        let key = |path: &[&str]| document.position(find(&document.root, path).id).map(|p| (p.line, p.column));
        let value = |path: &[&str]| document.position(find(&document.root, path).value.id).map(|p| (p.line, p.column));
        assert_eq!(key(&["name"]), Some((2, 1)));
        assert_eq!(value(&["name"]), Some((2, 7)));
        assert_eq!(value(&["file"]), Some((3, 7)));
        assert_eq!(key(&["file", "piece"]), Some((4, 9)));
        assert_eq!(value(&["file", "piece"]), Some((4, 16)));
        assert_eq!(key(&["churn", "session", "fixed", "after"]), Some((8, 7)));
        assert_eq!(value(&["churn", "session", "fixed", "after"]), Some((8, 16)));
        assert_eq!(value(&["peers"]), Some((9, 8)));
        let Value::List(levels) = &find(&document.root, &["peers"]).value.value else { panic!("a list") };
        assert_eq!(document.position(levels[1].id).map(|p| (p.line, p.column)), Some((10, 3)));
        assert_eq!(value(&["repeats"]), Some((11, 10)));
        assert_eq!(value(&["flag"]), Some((12, 7)));
        assert_eq!(value(&["half"]), Some((13, 7)));
        assert_eq!(value(&["quoted"]), Some((14, 9)));
        assert_eq!(find(&document.root, &["nothing"]).value.value, Value::Empty);
    }

    #[test]
    fn duplicate_keys_are_kept_for_the_check() {
        let document = Document::read("a: 1\nb: 2\na: 3\n").expect("valid YAML");
        let Value::Map(entries) = &document.root.value else { panic!("a mapping") };
        assert_eq!(entries.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(), ["a", "b", "a"]);
        assert_eq!(document.position(entries[2].id), Some(Position { line: 3, column: 1 }));
    }

    #[test]
    fn an_alias_is_read_as_what_it_stands_for() {
        let document = Document::read("a: &x { up: 1 }\nb: *x\n").expect("valid");
        assert_eq!(find(&document.root, &["b", "up"]).value.value, Value::Integer(1));
    }

    #[test]
    fn a_byte_order_mark_is_no_document() {
        let document = Document::read("\u{feff}name: x\n").expect("valid");
        assert_eq!(document.position(find(&document.root, &["name"]).value.id), Some(Position { line: 1, column: 7 }));
        assert!(Document::read("name: \u{feff}x\u{0}").is_err());
    }

    #[test]
    fn mappings_take_in_others_and_extensions_are_nobodys() {
        let text = "x-link: &link { up: 1, down: 2 }\nx-slow: &slow { <<: *link, up: 3 }\na: { <<: *slow, more: 4 }\n\
                    b: { up: 5, <<: [*link, { down: 6, else: 7 }] }\nx: 8\n";
        let document = Document::read(text).expect("valid");
        let value = |path: &[&str]| find(&document.root, path).value.value.clone();
        let of = |name: &str| ["up", "down"].map(|key| value(&[name, key]));
        assert_eq!(of("a"), [3, 2].map(Value::Integer));
        assert_eq!(of("b"), [5, 2].map(Value::Integer));
        assert_eq!([value(&["a", "more"]), value(&["b", "else"]), value(&["x"])], [4, 7, 8].map(Value::Integer));
        let Value::Map(entries) = &document.root.value else { panic!("a mapping") };
        assert_eq!(entries.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(), ["a", "b", "x"]);
        // What was taken in still knows its place.
        let taken_in = find(&document.root, &["a", "down"]).value.id;
        assert_eq!(document.position(taken_in), Some(Position { line: 1, column: 30 }));
        for wrong in ["a: { <<: 3 }\n", "a: { <<: [{ b: 1 }, text] }\n"] {
            let problem = Document::read(wrong).expect_err(wrong);
            assert!(problem.message.starts_with("`<<` stands before") && problem.position.is_some(), "{problem:?}");
        }
    }

    #[test]
    fn a_file_that_is_no_experiment_is_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..9 {
            let aliases = vec![format!("*a{}", i - 1); 10].join(", ");
            bomb.push_str(&format!("a{i}: &a{i} [{aliases}]\n"));
        }
        let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
        let large = format!("name: {}", "x".repeat(SIZE_MAX));
        let mut lines = String::new();
        for text in [
            "",
            "# only a comment\n",
            "---\n",
            "~",
            "- a\n- b\n",
            "just text",
            "name: x\n---\nname: y\n",
            "name: [x\n",
            "name: x\n\tfile: y\n",
            "name: *nowhere\n",
            "name: !odd x\n",
            "? [a, b]\n: c\n",
            "name: \"x\nfile: 3\n",
            "~: 3\n",
            "name: x\nquestion: \u{0}\n",
            &bomb,
            &deep,
            &large,
        ] {
            let problem = Document::read(text).expect_err(text);
            let shown: String = text.chars().take(40).collect();
            lines.push_str(&format!("{shown:?}\n    {}\n", problem.line("x.yaml")));
        }
        insta::assert_snapshot!(lines);
    }
}
