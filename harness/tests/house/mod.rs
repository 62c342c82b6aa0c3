//! The imports between the files of a crate, read from their tokens, and the circles among them.
//!
//! An import is a path in the code that ends at something which another file of the crate defines. To declare a module or to
//! re-export a name (`pub use`) is none: a path through a re-export counts as an import of the file that defines the name.
//! Tests are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// File → file, with the names that tie them.
pub(crate) type Graph = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// A module: a file's, or one within a file.
#[derive(Default)]
struct Module {
    /// The file that it stands in, below the root of the sources.
    file: String,
    /// What it defines, its modules apart.
    items: BTreeSet<String>,
    /// Names that `use` brings into it, with the paths that they stand for, and whether they are handed on.
    aliases: BTreeMap<String, (Vec<String>, bool)>,
    /// Modules from which all is brought in.
    globs: Vec<Vec<String>>,
    /// All paths of two words or more in its code.
    paths: Vec<Vec<String>>,
}

/// What a path ends at.
enum Target {
    Module,
    /// Of this file, by this name.
    Item(String, String),
    /// Nothing of this crate.
    Foreign,
}

/// A crate's modules, by their paths from its root (which is empty).
pub(crate) struct House {
    modules: BTreeMap<Vec<String>, Module>,
    root: PathBuf,
}

impl House {
    /// Reads the crate whose `lib.rs` lies in `root`, by its declarations of modules.
    pub(crate) fn read(root: &Path) -> Self {
        let mut house = Self { modules: BTreeMap::new(), root: root.to_owned() };
        house.file(&[], "lib.rs");
        house
    }

    /// All imports from file to file.
    pub(crate) fn imports(&self) -> Graph {
        let mut graph = Graph::new();
        for (at, module) in &self.modules {
            let used = module.aliases.values().filter(|(_, handed_on)| !handed_on).map(|(path, _)| path);
            let globs = module.globs.iter().map(|path| {
                let mut path = path.clone();
                path.push("*".to_owned());
                path
            });
            let all: Vec<Vec<String>> = used.cloned().chain(globs).chain(module.paths.iter().cloned()).collect();
            for path in all {
                if let Target::Item(file, name) = self.resolve(at, &path, 0)
                    && file != module.file
                {
                    graph.entry(module.file.clone()).or_default().entry(file).or_default().insert(name);
                }
            }
        }
        graph
    }

    /// What `path` stands for in the module `at`.
    fn resolve(&self, at: &[String], path: &[String], depth: u32) -> Target {
        assert!(depth < 32, "a name that stands for itself: {path:?} in {at:?}");
        let Some((first, rest)) = path.split_first() else { return Target::Module };
        let module = &self.modules[at];
        match first.as_str() {
            "crate" => return self.below(&[], rest, depth),
            "self" => return self.below(at, rest, depth),
            "super" if !at.is_empty() => return self.resolve(&at[..at.len() - 1], &with("self", rest), depth + 1),
            "super" => return Target::Foreign,
            _ => {}
        }
        if module.aliases.contains_key(first) || self.modules.contains_key(&joined(at, first)) {
            return self.below(at, path, depth);
        }
        Target::Foreign
    }

    /// What `path` stands for, as a name that the module `at` has.
    fn below(&self, at: &[String], path: &[String], depth: u32) -> Target {
        let Some((first, rest)) = path.split_first() else { return Target::Module };
        let module = &self.modules[at];
        if first == "super" {
            return self.resolve(at, path, depth + 1);
        }
        let inner = joined(at, first);
        if self.modules.contains_key(&inner) {
            return self.below(&inner, rest, depth + 1);
        }
        if module.items.contains(first) {
            return Target::Item(module.file.clone(), first.clone());
        }
        if let Some((stands_for, _)) = module.aliases.get(first) {
            // `use anyhow::anyhow`: of another crate, for no module here has this name.
            if stands_for.first() == Some(first) {
                return Target::Foreign;
            }
            let mut whole = stands_for.clone();
            whole.extend_from_slice(rest);
            return self.resolve(at, &whole, depth + 1);
        }
        for glob in &module.globs {
            let mut whole = glob.clone();
            whole.push(first.clone());
            if let Target::Item(file, name) = self.resolve(at, &whole, depth + 1)
                && name == *first
                && self.modules.values().any(|it| it.file == file && it.items.contains(&name))
            {
                return Target::Item(file, name);
            }
        }
        // All of it, or what a macro makes.
        Target::Item(module.file.clone(), first.clone())
    }

    /// Takes in a file, and the files that it declares.
    fn file(&mut self, at: &[String], name: &str) {
        let text = fs::read_to_string(self.root.join(name)).expect("a declared module has a file");
        let tokens: TokenStream = text.parse().expect("the sources are Rust");
        self.module(at, name, tokens);
    }

    fn module(&mut self, at: &[String], file: &str, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = without_tests(tokens);
        let mut module = Module { file: file.to_owned(), ..Module::default() };
        let mut inner: Vec<(String, Option<TokenStream>)> = Vec::new();
        let mut i = 0;
        while i < tokens.len() {
            let first = word(&tokens[i]);
            let next = tokens.get(i + 1).and_then(word);
            match (first.as_deref(), next) {
                (Some("mod"), Some(name)) => {
                    let body = match tokens.get(i + 2) {
                        Some(TokenTree::Group(group)) => Some(group.stream()),
                        _ => None,
                    };
                    inner.push((name, body));
                    i += 3;
                    continue;
                }
                // `const fn`: the name is the one after.
                (Some("const"), Some(next)) if ["fn", "unsafe", "extern"].contains(&next.as_str()) => {}
                (Some("fn" | "struct" | "enum" | "trait" | "type" | "const" | "static" | "union"), Some(name)) => {
                    module.items.insert(name);
                }
                (Some("macro_rules"), _) => {
                    module.items.extend(tokens.get(i + 2).and_then(word));
                }
                _ => {}
            }
            i += 1;
        }
        // A module's body is scanned on its own.
        scan(&tokens, &mut module);
        self.modules.insert(at.to_vec(), module);
        for (name, body) in inner {
            let path = joined(at, &name);
            match body {
                Some(body) => self.module(&path, file, body),
                None => {
                    let dir = match file {
                        "lib.rs" => String::new(),
                        _ => format!("{}/", file.trim_end_matches("/mod.rs").trim_end_matches(".rs")),
                    };
                    let flat = format!("{dir}{name}.rs");
                    let found = if self.root.join(&flat).exists() { flat } else { format!("{dir}{name}/mod.rs") };
                    self.file(&path, &found);
                }
            }
        }
    }
}

/// The groups of files that import each other, each sorted, with what ties them. Strongly connected components, by two walks
/// (Kosaraju).
pub(crate) fn circles(graph: &Graph) -> Vec<BTreeSet<String>> {
    type Edges<'a> = BTreeMap<&'a str, Vec<&'a str>>;
    fn walk<'a>(from: &'a str, of: &Edges<'a>, seen: &mut BTreeSet<&'a str>, out: &mut Vec<&'a str>) {
        if seen.insert(from) {
            for to in of.get(from).into_iter().flatten() {
                walk(to, of, seen, out);
            }
            out.push(from);
        }
    }
    let (mut ahead, mut back) = (Edges::new(), Edges::new());
    for (from, tos) in graph {
        for to in tos.keys() {
            ahead.entry(from).or_default().push(to);
            back.entry(to).or_default().push(from);
        }
    }
    let (mut seen, mut order) = (BTreeSet::new(), Vec::new());
    for from in ahead.keys() {
        walk(from, &ahead, &mut seen, &mut order);
    }
    let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
    for from in order.iter().rev() {
        let mut members = Vec::new();
        walk(from, &back, &mut seen, &mut members);
        if members.len() > 1 {
            found.push(members.into_iter().map(str::to_owned).collect());
        }
    }
    found.sort();
    found
}

fn joined(at: &[String], name: &str) -> Vec<String> {
    let mut path = at.to_vec();
    path.push(name.to_owned());
    path
}

fn with(first: &str, rest: &[String]) -> Vec<String> {
    let mut path = vec![first.to_owned()];
    path.extend_from_slice(rest);
    path
}

fn word(token: &TokenTree) -> Option<String> {
    match token {
        TokenTree::Ident(ident) => Some(ident.to_string()),
        _ => None,
    }
}

fn is(token: Option<&TokenTree>, c: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == c)
}

/// The tokens without what stands under `#[cfg(test)]`, at this level.
fn without_tests(tokens: TokenStream) -> Vec<TokenTree> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut kept = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        let is_test = is(tokens.get(i), '#')
            && matches!(tokens.get(i + 1), Some(TokenTree::Group(group)) if group.stream().to_string().replace(' ', "") == "cfg(test)");
        if !is_test {
            kept.push(tokens[i].clone());
            i += 1;
            continue;
        }
        i += 2;
        let is_use = tokens[i..].iter().find_map(word).is_some_and(|first| first == "use");
        while i < tokens.len() {
            let ends = is(tokens.get(i), ';')
                || !is_use && matches!(&tokens[i], TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
            i += 1;
            if ends {
                break;
            }
        }
    }
    kept
}

/// Takes in all paths and `use`s of these tokens and of the groups in them, bodies of modules apart.
fn scan(tokens: &[TokenTree], module: &mut Module) {
    let mut i = 0;
    let mut handed_on = false;
    while i < tokens.len() {
        match &tokens[i] {
            TokenTree::Ident(ident) if *ident == "pub" => handed_on = true,
            TokenTree::Ident(ident) if *ident == "use" => {
                let mut j = i + 1;
                use_tree(tokens, &mut j, &[], handed_on, module);
                i = j;
                handed_on = false;
                continue;
            }
            TokenTree::Ident(ident) if *ident == "mod" => {
                handed_on = false;
                i += 3;
                continue;
            }
            TokenTree::Ident(_) => {
                handed_on = false;
                let mut path = vec![tokens[i].to_string()];
                let mut j = i + 1;
                while is(tokens.get(j), ':') && is(tokens.get(j + 1), ':') {
                    let Some(next) = tokens.get(j + 2).and_then(word) else { break };
                    path.push(next);
                    j += 3;
                }
                if path.len() > 1 {
                    module.paths.push(path);
                }
                i = j;
                continue;
            }
            TokenTree::Group(group) => {
                let inner: Vec<TokenTree> = without_tests(group.stream());
                // `pub(crate) use` is handed on, too.
                let visibility = group.delimiter() == Delimiter::Parenthesis && handed_on;
                scan(&inner, module);
                if !visibility {
                    handed_on = false;
                }
            }
            _ => handed_on = false,
        }
        i += 1;
    }
}

/// One tree of a `use`, from `i` on: `a::b`, `a::{b, c as d}`, `a::*`.
fn use_tree(tokens: &[TokenTree], i: &mut usize, prefix: &[String], handed_on: bool, module: &mut Module) {
    let mut path = prefix.to_vec();
    loop {
        match tokens.get(*i) {
            Some(TokenTree::Ident(ident)) if *ident == "as" => {
                let name = tokens.get(*i + 1).and_then(word).expect("`as` names something");
                *i += 2;
                module.aliases.insert(name, (path, handed_on));
                return;
            }
            Some(TokenTree::Ident(ident)) => {
                path.push(ident.to_string());
                *i += 1;
                if !is(tokens.get(*i), ':') && tokens.get(*i).and_then(word).is_none_or(|next| next != "as") {
                    // `a::{self}` is `a`.
                    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
                        path.pop();
                    }
                    if let Some(name) = path.last().cloned() {
                        module.aliases.insert(name, (path, handed_on));
                    }
                    return;
                }
            }
            Some(TokenTree::Punct(punct)) if punct.as_char() == ':' => *i += 1,
            Some(TokenTree::Punct(punct)) if punct.as_char() == '*' => {
                *i += 1;
                module.globs.push(path);
                return;
            }
            Some(TokenTree::Group(group)) => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                let mut j = 0;
                while j < inner.len() {
                    use_tree(&inner, &mut j, &path, handed_on, module);
                    j += 1;
                }
                *i += 1;
                return;
            }
            _ => return,
        }
    }
}
