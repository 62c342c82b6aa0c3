//! The README shows what it means to show, and knows every key and word of the experiment file.

use std::collections::BTreeSet;
use std::path::Path;

use harness::spec::schema;
use serde_json::Value;

fn readme() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    std::fs::read_to_string(path).expect("the README")
}

/// The lines of a document that are no code.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    text.lines().enumerate().filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    })
}

/// The cells of a row; a bar within code is escaped.
fn cells(row: &str) -> usize {
    row.trim().trim_matches('|').replace("\\|", "").split('|').count()
}

/// Rows that no table has: a table begins with a heading and a row of dashes, and ends with the first line that is no row.
fn stray_rows(text: &str) -> Vec<usize> {
    let is_row = |line: &str| line.trim_start().starts_with('|');
    let is_rule = |line: &str| is_row(line) && line.chars().all(|c| matches!(c, '|' | '-' | ':' | ' '));
    let (mut stray, mut columns, mut last) = (Vec::new(), 0, None);
    let lines: Vec<(usize, &str)> = prose(text).collect();
    for (index, (number, line)) in lines.iter().enumerate().filter(|(_, (_, line))| is_row(line)) {
        if last.map(|last: usize| last + 1) != Some(*number) {
            let next = lines.get(index + 1).filter(|(it, next)| *it == number + 1 && is_rule(next));
            columns = next.map_or(0, |(_, rule)| cells(rule));
        }
        if columns == 0 || cells(line) != columns {
            stray.push(number + 1);
        }
        last = Some(*number);
    }
    stray
}

#[test]
fn every_row_of_the_readme_belongs_to_a_table() {
    assert_eq!(stray_rows(&readme()), [0; 0]);
}

#[test]
fn rows_after_a_blank_line_are_no_table() {
    let table = "| a | b |\n| --- | ---: |\n| 1 | `x \\| y` |\n";
    assert_eq!(stray_rows(table), [0; 0]);
    assert_eq!(stray_rows(&format!("{table}\n| 3 | 4 |\n")), [5]);
    assert_eq!(stray_rows(&format!("{table}| 3 |\n")), [4]);
    assert_eq!(stray_rows("```\n| code |\n```\n"), [0; 0]);
}

/// Every key, and every word that a key may have, of a schema; names that the user gives are none.
fn keys_and_words(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            for (key, value) in map {
                match (key.as_str(), value) {
                    ("properties", Value::Object(properties)) => {
                        found.extend(properties.keys().cloned());
                        properties.values().for_each(|value| keys_and_words(value, found));
                    }
                    ("enum", Value::Array(words)) => {
                        found.extend(words.iter().filter_map(Value::as_str).map(str::to_owned));
                    }
                    ("const", Value::String(word)) => drop(found.insert(word.clone())),
                    _ => keys_and_words(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| keys_and_words(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What stands in the README as code, in lines and in blocks.
fn code(text: &str) -> BTreeSet<String> {
    let spans: Vec<&str> = text.split('`').skip(1).step_by(2).collect();
    let blocks = text.split("```").skip(1).step_by(2);
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    spans.into_iter().chain(blocks).flat_map(|code| code.split(move |c| !is_part(c))).map(str::to_owned).collect()
}

#[test]
fn every_key_and_word_of_the_experiment_file_stands_in_the_readme() {
    let mut wanted = BTreeSet::new();
    keys_and_words(&schema::experiment(), &mut wanted);
    assert!(wanted.len() > 100, "{wanted:?}");
    let there = code(&readme());
    let missing: Vec<&String> = wanted.iter().filter(|word| !there.contains(*word)).collect();
    assert_eq!(missing, [""; 0]);
}
