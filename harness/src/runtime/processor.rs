//! Which processor this machine has. Two of the same number and memory may differ by half in speed.

/// Where the kernel says so.
const CPUINFO: &str = "/proc/cpuinfo";

/// Its model, as the kernel names it.
pub(super) fn model() -> Option<String> {
    of(&std::fs::read_to_string(CPUINFO).ok()?)
}

/// The model in the text of [`CPUINFO`]. The kernel names it by model on x86, by its maker's numbers on ARM.
fn of(text: &str) -> Option<String> {
    let value = |key: &str| {
        text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
            (name.trim() == key && !value.is_empty()).then_some(value)
        })
    };
    let numbers = || Some(format!("CPU implementer {} part {}", value("CPU implementer")?, value("CPU part")?));
    value("model name").or_else(numbers).or_else(|| value("uarch"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_has_the_name_that_the_kernel_gives_it() {
        let x86 = "processor\t: 0\nmodel\t\t: 143\nmodel name\t: Intel(R) Xeon(R)  Platinum 8481C\nflags\t: fpu\n";
        assert_eq!(of(x86).as_deref(), Some("Intel(R) Xeon(R) Platinum 8481C"));
        let arm = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n";
        assert_eq!(of(arm).as_deref(), Some("CPU implementer 0x41 part 0xd40"));
        assert_eq!(of(""), None);
    }
}
