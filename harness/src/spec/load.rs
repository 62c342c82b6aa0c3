//! An experiment file, by its path or as text, to a [`Spec`].

use std::path::Path;

use super::error::{self, SpecError};
use super::model::Spec;
use super::read::document::{Document, SIZE_MAX, Value};
use super::read::experiment;

/// Reads and checks an experiment file.
///
/// # Errors
/// If it cannot be read, or with every problem that it has.
pub fn load(path: &Path) -> Result<Spec, SpecError> {
    load_with_text(path).map(|(_, spec)| spec)
}

/// The file that is standard input, and what it is called in messages. Files that it names are in the working directory.
const STDIN: [&str; 2] = ["-", "<stdin>"];

/// What a file is called in messages.
#[must_use]
pub fn shown(path: &Path) -> String {
    if is_stdin(path) { STDIN[1].to_owned() } else { path.display().to_string() }
}

/// Whether a file is standard input.
#[must_use]
pub fn is_stdin(path: &Path) -> bool {
    path == Path::new(STDIN[0])
}

/// Reads and checks an experiment file, and keeps its text; `-` is standard input.
///
/// # Errors
/// As [`load`].
pub fn load_with_text(path: &Path) -> Result<(String, Spec), SpecError> {
    let file = shown(path);
    let read = if is_stdin(path) {
        read_as_much_as_counts(std::io::stdin().lock())
    } else {
        std::fs::File::open(path).and_then(read_as_much_as_counts)
    };
    let bytes = read.map_err(|source| SpecError::Read { file: file.clone(), source })?;
    let spec = parse_bytes(&file, path.parent().unwrap_or(Path::new("")), &bytes)?;
    Ok((String::from_utf8(bytes).expect("it was parsed as UTF-8"), spec))
}

/// All of an experiment file, or what shows that it is too large: it may be a device, or an image of a disk, and its end
/// may never come.
fn read_as_much_as_counts(from: impl std::io::Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = u64::try_from(SIZE_MAX).unwrap_or(u64::MAX).saturating_add(1);
    std::io::Read::read_to_end(&mut std::io::Read::take(from, most), &mut bytes)?;
    Ok(bytes)
}

/// Checks the text of an experiment file; `file` is its name in messages, and files that it names are beside it.
///
/// # Errors
/// With every problem that it has.
pub fn parse(file: &str, text: &str) -> Result<Spec, SpecError> {
    parse_beside(file, Path::new(file).parent().unwrap_or(Path::new("")), text)
}

/// The same, with the directory of files that it names.
fn parse_beside(file: &str, directory: &Path, text: &str) -> Result<Spec, SpecError> {
    let wrong = |problems, more| SpecError::Wrong { file: file.to_owned(), problems, more };
    let document = Document::read(text).map_err(|problem| wrong(vec![problem], false))?;
    experiment::check(&document, directory).map_err(|(problems, more)| wrong(problems, more))
}

/// What is wrong with a key of a file that can be read, found only when it was planned.
#[must_use]
pub fn wrong(file: &str, text: &str, key: &str, message: String, hint: &str) -> SpecError {
    let position = Document::read(text).ok().and_then(|document| {
        let Value::Map(entries) = &document.root.value else { return None };
        let entry = entries.iter().find(|entry| entry.key == key)?;
        document.position(entry.value.id)
    });
    let problem = error::Problem { position, path: key.to_owned(), message, hint: Some(hint.to_owned()) };
    SpecError::Wrong { file: file.to_owned(), problems: vec![problem], more: false }
}

fn parse_bytes(file: &str, directory: &Path, bytes: &[u8]) -> Result<Spec, SpecError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => parse_beside(file, directory, text),
        Err(error) => Err(SpecError::Wrong {
            file: file.to_owned(),
            problems: vec![
                error::Problem::of_file(format!("the file is not UTF-8 from byte {} on", error.valid_up_to()))
                    .hint("is this a text file?"),
            ],
            more: false,
        }),
    }
}
