//! Scalars of the experiment file to values: what one value may be, whatever stands beside it.

use std::ops::RangeInclusive;

use peer_image::node::{OnComplete, Pipeline};

use super::document::Value;
use super::reader::{Fault, meant};
use crate::quantity::{self, QuantityError};
use crate::spec::error::{is_control, listed};
use crate::spec::model::{RATE_MAX, RATE_MIN};

/// Most blocks that may be outstanding at one neighbour.
const PIPELINE_MAX: u32 = 1_000;

/// Longest text, characters.
const TEXT_MAX: usize = 1_000;

fn quantity<T>(
    value: &Value,
    what: &str,
    example: &str,
    parse: impl FnOnce(&str) -> Result<T, QuantityError>,
) -> Result<T, Fault> {
    match value {
        Value::Integer(_) | Value::Float(_) | Value::Text(_) => {
            parse(&value.scalar().unwrap_or_default()).map_err(|error| {
                let (message, hint) = error.parts();
                let fault = Fault::new(message);
                match hint {
                    Some(hint) => fault.hint(hint),
                    None => fault,
                }
            })
        }
        other => Err(misplaced(other, what, example)),
    }
}

pub(super) fn misplaced(value: &Value, what: &str, example: &str) -> Fault {
    let shown = match value.scalar() {
        Some(text) if !text.is_empty() => format!("{} (`{text}`)", value.kind()),
        Some(_) if matches!(value, Value::Text(_)) => "empty text".to_owned(),
        _ => value.kind().to_owned(),
    };
    Fault::new(format!("{shown} where {what} belongs")).hint(format!("write for example `{example}`"))
}

/// A link rate, bit/s.
pub(super) fn rate(value: &Value) -> Result<u64, Fault> {
    let rate = quantity(value, "a rate", "4 mbit", quantity::rate)?;
    if !(RATE_MIN..=RATE_MAX).contains(&rate) {
        return Err(Fault::new(format!("`{}` is out of range", quantity::show_rate(rate))).hint(format!(
            "a rate is from {} to {}",
            quantity::show_rate(RATE_MIN),
            quantity::show_rate(RATE_MAX)
        )));
    }
    if !rate.is_multiple_of(8) {
        return Err(Fault::new(format!("`{}` is not a whole number of bytes per second", quantity::show_rate(rate)))
            .hint(format!("the kernel counts bytes: write `{}`", quantity::show_rate(rate - rate % 8))));
    }
    Ok(rate)
}

/// A size, bytes.
pub(super) fn size(value: &Value) -> Result<u64, Fault> {
    quantity(value, "a size", "32 MiB", quantity::size)
}

/// A time, nanoseconds.
pub(super) fn time(value: &Value) -> Result<u64, Fault> {
    quantity(value, "a time", "10 s", quantity::time)
}

/// A share, parts of [`quantity::WHOLE`].
pub(super) fn share(value: &Value) -> Result<u64, Fault> {
    quantity(value, "a share", "30 %", quantity::share)
}

/// A whole number in a range.
pub(super) fn whole<T>(value: &Value, range: RangeInclusive<T>) -> Result<T, Fault>
where
    T: Copy + PartialOrd + TryFrom<i128> + std::fmt::Display,
{
    let Value::Integer(n) = value else {
        return Err(misplaced(value, "a whole number", &range.start().to_string()));
    };
    match T::try_from(*n) {
        Ok(fits) if range.contains(&fits) => Ok(fits),
        _ => Err(Fault::new(format!("`{n}` is out of range")).hint(format!(
            "a whole number from {} to {}",
            range.start(),
            range.end()
        ))),
    }
}

/// `true` or `false`.
pub(super) fn flag(value: &Value) -> Result<bool, Fault> {
    match value {
        Value::Bool(b) => Ok(*b),
        other => Err(misplaced(other, "`true` or `false`", "true")),
    }
}

/// Some text.
pub(super) fn text(value: &Value) -> Result<String, Fault> {
    match value {
        Value::Text(text) if text.chars().count() > TEXT_MAX => {
            Err(Fault::new(format!("text of {} characters", text.chars().count())).hint(format!("at most {TEXT_MAX}")))
        }
        Value::Text(text) if !text.trim().is_empty() => {
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            // It is shown in terminals and reports, which would obey it.
            match text.chars().find(|c| is_control(*c)) {
                Some(c) => {
                    Err(Fault::new(format!("text with the control character `{}`", c.escape_unicode()))
                        .hint("words alone"))
                }
                None => Ok(text),
            }
        }
        other => Err(misplaced(other, "text", "some words")),
    }
}

/// A name that is fit for a directory and a label.
pub(super) fn name(value: &Value) -> Result<String, Fault> {
    let text = text(value)?;
    if is_name(&text) {
        return Ok(text);
    }
    Err(Fault::new(format!("`{text}` cannot name a directory"))
        .hint("1 to 48 of a-z, 0-9 and `-`, beginning with a letter or digit"))
}

/// Whether a text is fit for a directory and a label.
pub(super) fn is_name(text: &str) -> bool {
    (1..=48).contains(&text.len())
        && !text.starts_with('-')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// One of some words.
pub(super) fn word<T: Copy>(value: &Value, words: &[(&str, T)]) -> Result<T, Fault> {
    let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let Value::Text(text) = value else {
        let example = known.first().copied().unwrap_or_default();
        return Err(misplaced(value, "a word", example));
    };
    let text = text.trim();
    words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning).ok_or_else(|| {
        let fault = Fault::new(format!("`{text}` is not one of {}", listed(&known)));
        match meant(text, &known) {
            Some(word) => fault.hint(format!("did you mean `{word}`?")),
            None => fault,
        }
    })
}

/// A congestion control, by the kernel's name, or `system` for the system's own.
pub(super) fn congestion(value: &Value) -> Result<String, Fault> {
    let text = text(value)?;
    // The kernel's TCP_CA_NAME_MAX is 16, with its closing zero.
    let fits = text.len() <= 15
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if fits {
        return Ok(text);
    }
    Err(Fault::new(format!("`{text}` cannot be a congestion control"))
        .hint("such as `cubic`, `reno`, `bbr` or `system`"))
}

/// `stay`, `leave` or `linger 30 s`.
pub(super) fn on_complete(value: &Value) -> Result<OnComplete, Fault> {
    if let Value::Text(text) = value
        && let Some(rest) = text.trim().strip_prefix("linger")
    {
        return time(&Value::Text(rest.trim().to_owned())).map(OnComplete::Linger);
    }
    word(value, &[("stay", OnComplete::Stay), ("leave", OnComplete::Leave)])
        .map_err(|_| misplaced(value, "`stay`, `leave` or `linger` with a time", "linger 30 s"))
}

/// `auto` or a number of blocks.
pub(super) fn pipeline(value: &Value) -> Result<Pipeline, Fault> {
    match value {
        Value::Integer(_) => whole(value, 1..=PIPELINE_MAX).map(Pipeline::Blocks),
        Value::Text(text) if text.trim() == "auto" => Ok(Pipeline::Auto),
        other => Err(misplaced(other, "`auto` or a number of blocks", "auto")),
    }
}
