//! A node's output, cut into lines.

/// A line that is longer than this is told in parts, so that a node cannot fill our memory; bytes. A node's first line repeats
/// what it was told: 200,000 planned changes are not as long.
pub(super) const LONGEST: usize = 16 << 20;

/// The beginning of a line whose end has not come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Lines {
    pending: Vec<u8>,
}

impl Lines {
    /// Takes in bytes as they come, in whatever portions, and tells of each line that they end.
    pub(super) fn feed(&mut self, bytes: &[u8], mut tell: impl FnMut(String)) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.pending.extend_from_slice(part);
            if self.pending.last() == Some(&b'\n') || self.pending.len() >= LONGEST {
                self.end(&mut tell);
            }
        }
    }

    /// Nothing more comes: tells of what has no end.
    pub(super) fn end(&mut self, mut tell: impl FnMut(String)) {
        let line = self.pending.strip_suffix(b"\n").unwrap_or(&self.pending);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.is_empty() {
            tell(String::from_utf8_lossy(line).into_owned());
        }
        self.pending.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(lines: &mut Lines, chunks: &[&str]) -> Vec<String> {
        let mut told = Vec::new();
        for chunk in chunks {
            lines.feed(chunk.as_bytes(), |line| told.push(line));
        }
        told
    }

    #[test]
    fn a_line_that_comes_in_parts_is_told_whole() {
        let mut lines = Lines::default();
        assert_eq!(feed(&mut lines, &["on", "e\ntw", "o\r\n\nthr"]), ["one", "two"]);
        let mut rest = Vec::new();
        lines.end(|line| rest.push(line));
        assert_eq!(rest, ["thr"]);
    }

    #[test]
    fn a_first_line_is_told_whole_however_long_its_plan() {
        // 5 MiB: some 50,000 planned changes.
        let long = "x".repeat(5 << 20);
        let mut parts: Vec<&str> = (0..long.len()).step_by(1 << 14).map(|at| &long[at..at + (1 << 14)]).collect();
        parts.push("\n");
        assert_eq!(feed(&mut Lines::default(), &parts), [long.as_str()]);
    }

    #[test]
    fn an_endless_line_is_told_in_parts() {
        let mut lines = Lines::default();
        let long = "x".repeat(LONGEST);
        assert_eq!(feed(&mut lines, &[&long, "y\n"]), [long.as_str(), "y"]);
    }
}
