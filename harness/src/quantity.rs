//! Rates, sizes, times and shares, as people write them and as the program counts them.
//!
//! Rates are whole bit/s (`4 mbit`), sizes are whole bytes (`32 MiB`), times are whole nanoseconds (`10 s`) and
//! shares are whole parts in a thousand million (`30 %`): what is written is taken exactly or refused, never rounded.
//! Units that mean different things to different people (`MB`, `Mb`, `Mbps`) are refused with the one to write.
//! This module knows nothing of where a quantity stands.

use std::fmt;

/// Parts that make up the whole of a share.
pub const WHOLE: u64 = 1_000_000_000;

/// What a quantity measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// bit/s.
    Rate,
    /// Bytes.
    Size,
    /// Nanoseconds.
    Time,
    /// Parts of [`WHOLE`].
    Share,
}

/// A quantity that cannot be taken as written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// It does not begin with a decimal number.
    #[error("`{text}` is not a {kind} (hint: write a number and a unit, such as `{}`)", kind.example())]
    NotANumber {
        /// As written.
        text: String,
        /// What was wanted.
        kind: Kind,
    },
    /// A bare number.
    #[error("`{text}` has no unit (hint: a {kind} is a number and one of {}, such as `{text} {}`)", kind.names(), kind.usual(text))]
    NoUnit {
        /// As written.
        text: String,
        /// What was wanted.
        kind: Kind,
    },
    /// A unit that is not one of ours.
    #[error("`{unit}` in `{text}` is not a unit of a {kind} (hint: {hint})")]
    Unit {
        /// As written.
        text: String,
        /// Its unit.
        unit: String,
        /// What was wanted.
        kind: Kind,
        /// What to write instead.
        hint: String,
    },
    /// Nothing at all, where something is needed.
    #[error("`{text}` is zero (hint: a {kind} must be more than 0)")]
    Zero {
        /// As written.
        text: String,
        /// What was wanted.
        kind: Kind,
    },
    /// Less than nothing.
    #[error("`{text}` is negative (hint: a {kind} must be more than 0)")]
    Negative {
        /// As written.
        text: String,
        /// What was wanted.
        kind: Kind,
    },
    /// A fraction that does not come to whole base units.
    #[error("`{text}` does not come to whole {} (hint: write fewer decimals or a smaller unit)", kind.base())]
    NotWhole {
        /// As written.
        text: String,
        /// What was wanted.
        kind: Kind,
    },
    /// More than can be counted.
    #[error("`{text}` is too large (hint: at most {} can be counted)", kind.most())]
    TooLarge {
        /// As written.
        text: String,
        /// What was wanted.
        kind: Kind,
    },
}

impl QuantityError {
    /// The message and its hint apart, for those that show them apart.
    #[must_use]
    pub fn parts(&self) -> (String, Option<String>) {
        let whole = self.to_string();
        match whole.split_once(" (hint: ") {
            Some((message, hint)) => (message.to_owned(), Some(hint.strip_suffix(')').unwrap_or(hint).to_owned())),
            None => (whole, None),
        }
    }
}

/// A unit and how many base units it is.
type Unit = (&'static str, u64);

const RATES: &[Unit] = &[("bit", 1), ("kbit", 1_000), ("mbit", 1_000_000), ("gbit", 1_000_000_000)];
const SIZES: &[Unit] = &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
const TIMES: &[Unit] =
    &[("ms", 1_000_000), ("s", 1_000_000_000), ("min", 60 * 1_000_000_000), ("h", 3_600 * 1_000_000_000)];
const SHARES: &[Unit] = &[("%", WHOLE / 100)];

impl Kind {
    fn units(self) -> &'static [Unit] {
        match self {
            Self::Rate => RATES,
            Self::Size => SIZES,
            Self::Time => TIMES,
            Self::Share => SHARES,
        }
    }

    /// The unit that a bare number most likely lacks: the base unit if it is a large one.
    fn usual(self, number: &str) -> &'static str {
        match self {
            Self::Rate | Self::Size if number.len() > 5 => self.units()[0].0,
            Self::Rate => "mbit",
            Self::Size => "MiB",
            Self::Time => "s",
            Self::Share => "%",
        }
    }

    fn example(self) -> &'static str {
        match self {
            Self::Rate => "4 mbit",
            Self::Size => "32 MiB",
            Self::Time => "10 s",
            Self::Share => "30 %",
        }
    }

    fn base(self) -> &'static str {
        match self {
            Self::Rate => "bit/s",
            Self::Size => "bytes",
            Self::Time => "nanoseconds",
            Self::Share => "parts in a thousand million",
        }
    }

    fn most(self) -> String {
        match self {
            Self::Rate => format!("{} gbit", u64::MAX / 1_000_000_000),
            Self::Size => format!("{} GiB", u64::MAX >> 30),
            Self::Time => format!("{} h", u64::MAX / 3_600_000_000_000),
            Self::Share => "100 %".to_owned(),
        }
    }

    fn names(self) -> String {
        self.units().iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    }

    /// What somebody who wrote `unit` should write.
    fn cure(self, unit: &str) -> String {
        let lower = unit.to_lowercase();
        if let Some((name, _)) = self.units().iter().find(|(name, _)| name.to_lowercase() == lower) {
            return format!("write `{name}`: upper and lower case differ");
        }
        let prefix = match lower.chars().next() {
            Some(prefix @ ('k' | 'm' | 'g')) => Some(prefix),
            _ => None,
        };
        let bytes = unit.contains('B') || lower.contains("byte") || lower.contains("ib");
        match (self, prefix) {
            (Self::Rate, Some(prefix)) if bytes => {
                format!("rates are bits per second: write `{prefix}bit`, 8 for each byte")
            }
            (Self::Rate, Some(prefix)) => format!("write `{prefix}bit`: per second goes without saying"),
            (Self::Size, Some(prefix)) if bytes => {
                let prefix = prefix.to_ascii_uppercase();
                format!("it means powers of 1000 to some and of 1024 to others: write `{prefix}iB`")
            }
            (Self::Size, Some(prefix)) => {
                format!(
                    "it means bits to some and bytes to others: sizes are bytes, write `{}iB`",
                    prefix.to_ascii_uppercase()
                )
            }
            (Self::Time, _) if lower.starts_with("sec") => "write `s`".to_owned(),
            (Self::Time, Some('m')) => "write `min` for minutes, `ms` for milliseconds".to_owned(),
            (Self::Time, _) if lower.starts_with("hour") => "write `h`".to_owned(),
            _ => format!("write one of {}", self.names()),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rate => "rate",
            Self::Size => "size",
            Self::Time => "time",
            Self::Share => "share",
        })
    }
}

/// Reads a rate in bit/s: `4 mbit`.
///
/// # Errors
/// If it has no unit or a foreign one, is zero or negative, is not whole, or does not fit.
pub fn rate(text: &str) -> Result<u64, QuantityError> {
    more_than_nothing(text, Kind::Rate)
}

/// Reads a size in bytes: `32 MiB`.
///
/// # Errors
/// As [`rate`].
pub fn size(text: &str) -> Result<u64, QuantityError> {
    more_than_nothing(text, Kind::Size)
}

/// Reads a time in nanoseconds: `10 s`.
///
/// # Errors
/// As [`rate`].
pub fn time(text: &str) -> Result<u64, QuantityError> {
    more_than_nothing(text, Kind::Time)
}

/// Reads a share in parts of [`WHOLE`]: `30 %`. Zero is a share.
///
/// # Errors
/// As [`rate`], and if it is more than 100 %.
pub fn share(text: &str) -> Result<u64, QuantityError> {
    let parts = parse(text, Kind::Share)?;
    if parts > WHOLE {
        return Err(QuantityError::TooLarge { text: text.trim().to_owned(), kind: Kind::Share });
    }
    Ok(parts)
}

/// Reads a size in bytes of which nothing is one, too: `0 B`.
///
/// # Errors
/// As [`rate`].
pub fn bytes(text: &str) -> Result<u64, QuantityError> {
    parse(text, Kind::Size)
}

fn more_than_nothing(text: &str, kind: Kind) -> Result<u64, QuantityError> {
    match parse(text, kind)? {
        0 => Err(QuantityError::Zero { text: text.trim().to_owned(), kind }),
        n => Ok(n),
    }
}

fn parse(text: &str, kind: Kind) -> Result<u64, QuantityError> {
    let text = text.trim();
    let owned = || text.to_owned();
    let (negative, rest) = match text.strip_prefix(['-', '\u{2212}']) {
        Some(rest) => (true, rest.trim_start()),
        None => (false, text),
    };
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (number, unit) = (&rest[..end], rest[end..].trim());
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let dangling = number.ends_with('.') || fraction.contains('.');
    if whole.is_empty()
        || dangling
        || unit.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '.' | '+' | '-' | ','))
    {
        return Err(QuantityError::NotANumber { text: owned(), kind });
    }
    if negative {
        return Err(QuantityError::Negative { text: owned(), kind });
    }
    if unit.is_empty() {
        return Err(QuantityError::NoUnit { text: owned(), kind });
    }
    let Some(&(_, factor)) = kind.units().iter().find(|(name, _)| *name == unit) else {
        return Err(QuantityError::Unit { text: owned(), unit: unit.to_owned(), kind, hint: kind.cure(unit) });
    };

    let fraction = fraction.trim_end_matches('0');
    let digits = format!("{whole}{fraction}");
    let too_large = || QuantityError::TooLarge { text: owned(), kind };
    let not_whole = || QuantityError::NotWhole { text: owned(), kind };
    let significant = digits.trim_start_matches('0');
    // 38 decimal digits fit 128 bits; so many decimals never come to whole base units, so many digits never fit.
    let mantissa: u128 = match significant.is_empty() {
        true => 0,
        false => significant.parse().map_err(|_too_long: std::num::ParseIntError| {
            if whole.trim_start_matches('0').len() > 20 { too_large() } else { not_whole() }
        })?,
    };
    let places = u32::try_from(fraction.len()).map_err(|_too_long| not_whole())?;
    let scale = 10_u128.checked_pow(places).ok_or_else(not_whole)?;
    let scaled = mantissa.checked_mul(u128::from(factor)).ok_or_else(too_large)?;
    if scaled % scale != 0 {
        return Err(not_whole());
    }
    u64::try_from(scaled / scale).map_err(|_overflow| too_large())
}

/// A rate in bit/s the shortest exact way: `4 mbit`, `1.5 mbit`.
#[must_use]
pub fn show_rate(bits_per_second: u64) -> String {
    show(bits_per_second, RATES)
}

/// A size in bytes the shortest exact way: `32 MiB`, `1000001 B`.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    show(bytes, SIZES)
}

/// A time in nanoseconds the shortest exact way: `10 s`, `10 min`, `1.5 ms`.
#[must_use]
pub fn show_time(nanoseconds: u64) -> String {
    show(nanoseconds, TIMES)
}

/// A share in parts of [`WHOLE`] the shortest exact way: `30 %`, `12.5 %`.
#[must_use]
pub fn show_share(parts: u64) -> String {
    show(parts, SHARES)
}

/// The fewest digits that are exact, in the largest such unit that is not larger than the value.
fn show(value: u64, units: &[Unit]) -> String {
    let mut best: Option<(usize, String)> = None;
    for (index, (name, factor)) in units.iter().enumerate().rev() {
        if index > 0 && *factor > value {
            continue;
        }
        let Some(number) = exact_decimal(value, *factor) else { continue };
        if best.as_ref().is_none_or(|(digits, _)| number.len() < *digits) {
            best = Some((number.len(), format!("{number} {name}")));
        }
    }
    best.map_or_else(|| format!("{value} / {} {}", units[0].1, units[0].0), |(_, text)| text)
}

/// `value / factor` as a decimal, if it ends.
fn exact_decimal(value: u64, factor: u64) -> Option<String> {
    let (whole, mut rest) = (value / factor, u128::from(value % factor));
    let mut fraction = String::new();
    while rest > 0 {
        if fraction.len() == 30 {
            return None;
        }
        rest *= 10;
        fraction.push_str(&(rest / u128::from(factor)).to_string());
        rest %= u128::from(factor);
    }
    Some(if fraction.is_empty() { whole.to_string() } else { format!("{whole}.{fraction}") })
}

/// A number with so many decimals; one that would show less than two of its digits shows three: 0.846 instead of 0.8, and
/// 0.00021 instead of 0.00.
#[must_use]
pub fn decimal(value: f64, usual: usize) -> String {
    let shows_two = value.abs() >= 10_f64.powi(1 - i32::try_from(usual).unwrap_or(0));
    if value == 0.0 || !value.is_finite() || shows_two {
        return format!("{value:.usual$}");
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to 308")]
    let zeros = -value.abs().log10().floor() as usize;
    format!("{value:.*}", usual.max(zeros + 2))
}

/// Nanoseconds to seconds.
#[must_use]
pub fn seconds(nanoseconds: u64) -> f64 {
    std::time::Duration::from_nanos(nanoseconds).as_secs_f64()
}

/// Parts of [`WHOLE`] to a fraction of 1.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a thousand million parts fit a double exactly")]
pub fn fraction(parts: u64) -> f64 {
    parts as f64 / WHOLE as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_number_shows_as_many_digits_as_tell_what_it_is() {
        let texts = [12.34, 1.0, 0.96, 0.846, 0.007_998, 0.000_21, 0.0, -0.05].map(|value| decimal(value, 1));
        assert_eq!(texts, ["12.3", "1.0", "0.960", "0.846", "0.00800", "0.000210", "0.0", "-0.0500"]);
        assert_eq!([0.33, 0.1, 0.04].map(|value| decimal(value, 2)), ["0.33", "0.10", "0.0400"]);
    }
    use proptest::prelude::*;

    #[test]
    fn quantities_are_read_exactly() {
        assert_eq!(rate("4 mbit"), Ok(4_000_000));
        assert_eq!(rate("1.5 mbit"), Ok(1_500_000));
        assert_eq!(rate("0.001 kbit"), Ok(1));
        assert_eq!(rate("  10gbit "), Ok(10_000_000_000));
        assert_eq!(size("32 MiB"), Ok(32 << 20));
        assert_eq!(size("0.5 KiB"), Ok(512));
        assert_eq!(size("1.0000 B"), Ok(1));
        assert_eq!(time("10 s"), Ok(10_000_000_000));
        assert_eq!(time("0.5 ms"), Ok(500_000));
        assert_eq!(time("10 min"), Ok(600_000_000_000));
        assert_eq!(time("1 h"), Ok(3_600_000_000_000));
        assert_eq!(share("30 %"), Ok(300_000_000));
        assert_eq!(share("33.3333333%"), Ok(333_333_333));
        assert_eq!(share("0 %"), Ok(0));
        assert_eq!(share("100 %"), Ok(WHOLE));
    }

    #[test]
    fn what_cannot_be_taken_as_written_is_refused_with_a_cure() {
        let mut lines = String::new();
        for text in [
            "4",
            "4 Mb",
            "4 Mbps",
            "4 MB/s",
            "4 Mbit",
            "4 mbit/s",
            "4 KiB",
            "4 parsecs",
            "0 mbit",
            "-4 mbit",
            "nan mbit",
            "1.5 bit",
            "four",
            "",
            "1e6 bit",
            "1,5 mbit",
            "1.2.3 mbit",
            "1. mbit",
            ".5 mbit",
            "99999999999999999999 gbit",
            "18446744073709551616 bit",
            "4 4 mbit",
            "0.0000000000000000000000000000000000000000001 mbit",
        ] {
            let error = rate(text).expect_err(text);
            lines.push_str(&format!("{text:?}: {error}\n"));
        }
        for text in ["32", "32 MB", "32 kB", "32 Mb", "32 mib", "32 MByte", "0 B", "0.3 B", "17179869184 GiB"] {
            let error = size(text).expect_err(text);
            lines.push_str(&format!("{text:?}: {error}\n"));
        }
        for text in ["10", "10 m", "10 sec", "10 hours", "10 S", "10 us", "0 s", "-1 s"] {
            let error = time(text).expect_err(text);
            lines.push_str(&format!("{text:?}: {error}\n"));
        }
        for text in ["30", "0.3", "30 percent", "101 %", "-1 %", "33.33333333 %"] {
            let error = share(text).expect_err(text);
            lines.push_str(&format!("{text:?}: {error}\n"));
        }
        insta::assert_snapshot!(lines);
    }

    #[test]
    fn quantities_are_shown_the_shortest_exact_way() {
        assert_eq!(show_rate(4_000_000), "4 mbit");
        assert_eq!(show_rate(1_500_000), "1.5 mbit");
        assert_eq!(show_rate(100_000), "100 kbit");
        assert_eq!(show_rate(1_234_567), "1234567 bit");
        assert_eq!(show_size(32 << 20), "32 MiB");
        assert_eq!(show_size(1536), "1.5 KiB");
        assert_eq!(show_size((1 << 20) + 1), "1048577 B");
        assert_eq!(show_time(600_000_000_000), "10 min");
        assert_eq!(show_time(90_000_000_000), "90 s");
        assert_eq!(show_time(1_500_000), "1.5 ms");
        assert_eq!(show_time(100), "0.0001 ms");
        assert_eq!(show_share(125_000_000), "12.5 %");
        assert_eq!(show_share(0), "0 %");
        assert_eq!(show_size(0), "0 B");
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back_as_the_same(value in 1..u64::MAX) {
            prop_assert_eq!(rate(&show_rate(value)), Ok(value));
            prop_assert_eq!(size(&show_size(value)), Ok(value));
            prop_assert_eq!(time(&show_time(value)), Ok(value));
            let part = value % (WHOLE + 1);
            prop_assert_eq!(share(&show_share(part)), Ok(part));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC*") {
            let _ = (rate(&text), size(&text), time(&text), share(&text));
        }
    }
}
