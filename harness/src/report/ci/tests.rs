//! What a CI reads, as it is written.

use super::*;
use crate::analysis::fixture::{churned, compared};
use crate::report::facts::Facts;

fn facts() -> Facts {
    Facts { run: "20261125T000000Z-0123abcd".to_owned(), ..Facts::default() }
}

#[test]
fn the_summary_has_everything_that_a_script_may_want() {
    insta::assert_snapshot!(summary(&compared(), &facts()));
}

#[test]
fn test_cases_fail_with_their_reason() {
    insta::assert_snapshot!("compared", junit(&compared(), &facts()));
    insta::assert_snapshot!("churned", junit(&churned(), &facts()));
}

#[test]
fn test_cases_took_the_time_of_their_trials() {
    let mut analysis = compared();
    assert!(!junit(&analysis, &facts()).lines().nth(1).unwrap().contains(" time="), "no log tells");
    analysis.wall_s = [("p2p-n10-arm-base".to_owned(), 61.25), ("p2p-n10-arm-head".to_owned(), 70.0)].into();
    let text = junit(&analysis, &facts());
    assert!(text.contains(r#"errors="0" time="131.250">"#), "{text}");
    assert!(text.contains(r#"name="p2p-n10-arm-base: trials" classname="harness.textbook" time="61.250"/>"#), "{text}");
    let cases = text.lines().filter(|line| line.contains("<testcase "));
    assert!(cases.clone().count() > 2 && cases.clone().all(|line| line.contains(" time=")), "{text}");
}

#[test]
fn metrics_are_open_metrics() {
    let text = metrics(&compared());
    assert!(text.ends_with("# EOF\n"));
    insta::assert_snapshot!(text);
}

#[test]
fn the_digest_says_what_happened_and_is_never_too_long() {
    insta::assert_snapshot!(digest(&compared(), None, 900_000));
    let mut many = compared();
    let row = many.checks[0].clone();
    many.checks.extend(std::iter::repeat_n(row, 20_000));
    let text = digest(&many, None, 100_000);
    assert!(text.len() <= 100_000 && text.contains("more"), "{}", text.len());
}

#[test]
fn what_has_no_row_of_its_own_is_said_with_its_reason_everywhere() {
    use crate::analysis::fixture::textbook;
    use crate::analysis::metrics::Verdict;
    assert_eq!(annotations(&textbook()), []);
    for (verdict, outcome) in [(Verdict::Failed, "failed"), (Verdict::Invalid, "invalid")] {
        let mut run = textbook();
        let trial = &mut run.trials[0];
        (trial.verdict, trial.reason, trial.invalid) = (verdict, "so it was".to_owned(), "so it was".to_owned());
        let said = annotations(&run);
        assert_eq!((said.len(), said[0].is_error), (1, true), "{said:?}");
        assert_eq!(said[0].title, format!("textbook: {outcome}"));
        assert!(said[0].message.ends_with("the first `client-server-n5`, repeat 1: so it was"), "{said:?}");
        let told = [digest(&run, None, 900_000), junit(&run, &facts()), summary(&run, &facts())];
        assert!(told.iter().all(|text| text.contains("so it was")), "{told:?}");
    }
}

#[test]
fn annotations_point_at_the_line() {
    let shown: Vec<String> = annotations(&compared()).iter().map(|it| it.github("x,y.yaml")).collect();
    insta::assert_snapshot!(shown.join("\n"));
}
