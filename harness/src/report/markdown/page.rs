//! A page of Markdown, and how numbers and words are written on it.

use std::fmt::{Display, Write};

use crate::quantity::decimal;

/// Rows of a list that a report shows; the tables have all of them.
pub(super) const SHOWN: usize = 60;
pub(super) const INFALLIBLE: &str = "writing to a string cannot fail";

/// Text that grows by lines and tables.
#[derive(Default)]
pub(in crate::report) struct Page(String);

impl Page {
    /// What it holds.
    pub(in crate::report) fn text(self) -> String {
        self.0
    }

    /// One line.
    pub(in crate::report) fn line(&mut self, text: impl Display) {
        writeln!(self.0, "{text}").expect(INFALLIBLE);
    }

    /// A table; headings that begin with `>` are of numbers.
    pub(in crate::report) fn table(&mut self, headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
        let names: Vec<&str> = headings.iter().map(|heading| heading.trim_start_matches('>')).collect();
        let rules: Vec<&str> = headings.iter().map(|it| if it.starts_with('>') { "---:" } else { "---" }).collect();
        self.line(format!("| {} |", names.join(" | ")));
        self.line(format!("| {} |", rules.join(" | ")));
        for row in rows {
            let fields: Vec<String> = row.iter().map(|field| escaped(field)).collect();
            self.line(format!("| {} |", fields.join(" | ")));
        }
        self.line("");
    }
}

pub(super) fn more(page: &mut Page, rows: usize, place: &str) {
    if let Some(more) = rows.checked_sub(SHOWN).filter(|more| *more > 0) {
        page.line(format!("… and {more} more: see {place}.\n"));
    }
}

/// `2`, or `2 (attempt 3)`; nothing where it is about all repeats.
pub(super) fn attempt(repeat: u32, attempt: u32) -> String {
    match attempt {
        0 => String::new(),
        1 => repeat.to_string(),
        _ => format!("{repeat} (attempt {attempt})"),
    }
}

pub(in crate::report) fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or("–".to_owned(), |value| decimal(value, digits))
}

pub(super) fn milliseconds(seconds: Option<f64>) -> String {
    seconds.map_or("–".to_owned(), |seconds| format!("{:.1}", seconds * 1e3))
}

pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or("–".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

/// Text of a user in which nothing is markup.
pub(in crate::report) fn plain(text: &str) -> String {
    let mut plain = String::new();
    for char in text.chars() {
        if char.is_ascii_punctuation() && !".,;:!?()'\"%/-+=".contains(char) {
            plain.push('\\');
        }
        plain.push(if char.is_control() { ' ' } else { char });
    }
    plain
}

/// Text that may come from a user or a node: it must not break a table or become markup.
pub(in crate::report) fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace(['\n', '\r'], " ")
}
