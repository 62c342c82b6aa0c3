//! What happens to several nodes at once, as the file has it: failures that are correlated, the server's or the
//! tracker's end, links that change.

use peer_image::node::{Link, Storage};

use super::document::Value;
use super::keys::EVERYBODY;
use super::reader::{Fault, Section, View, kept_in_memory};
use super::values;
use crate::quantity::{fraction, show_time};
use crate::spec::error::listed;
use crate::spec::model::{Class, HOWS, How, Incident, Keeps, What, Who};

const WHAT: &str = "`what`: `leave`, `crash`, `freeze` or `cut-off`; or `links: { up: 1 mbit, down: 8 mbit }`";

/// The incidents of the file, by name in the file's order.
pub(super) fn incidents<'a>(
    view: &mut View<'a, '_>,
    root: &Section<'a>,
    timeout: Option<u64>,
    storage: Option<Storage>,
    classes: Option<&[Class]>,
) -> Option<Vec<Incident>> {
    if !root.entries.iter().any(|entry| entry.key == "events") {
        return Some(Vec::new());
    }
    let section = view.names(root, "events")?;
    let mut incidents = Vec::new();
    for entry in section.entries {
        if !values::is_name(&entry.key) {
            let fault = Fault::new(format!("`{}` cannot name an event", entry.key)).hint("1 to 48 of a-z, 0-9 and `-`");
            view.findings.add(entry.id, &section.path_of(&entry.key), fault);
        }
        let known = ["at", "who", "what", "links", "for", "keeps"];
        let Some(event) = view.section(&section, &entry.key, &known) else { continue };
        incidents.extend(incident(view, &event, &entry.key, timeout, storage, classes));
    }
    (incidents.len() == section.entries.len()).then_some(incidents)
}

fn incident<'a>(
    view: &mut View<'a, '_>,
    event: &Section<'a>,
    name: &str,
    timeout: Option<u64>,
    storage: Option<Storage>,
    classes: Option<&[Class]>,
) -> Option<Incident> {
    let has = |key: &str| event.entries.iter().any(|entry| entry.key == key);
    let at = view.need(event, "at", values::time);
    let who = view.need(event, "who", |value| who(value, classes));
    let lasts = if has("for") { Some(view.read(event, "for", values::time)?) } else { None };
    let what = match (has("what"), has("links")) {
        (true, true) => {
            view.fault(event, "links", Fault::new("both `what` and `links`").hint("two events, each with a name"));
            None
        }
        (false, true) => links(view, event).map(What::Links),
        (false, false) => {
            view.fault(event, "what", Fault::new("neither `what` nor `links`").hint(WHAT));
            None
        }
        (true, false) => {
            let how = view.need(event, "what", |value| values::word(value, &HOWS))?;
            let keeps = |value: &Value| values::word(value, &[("pieces", Keeps::Pieces), ("nothing", Keeps::Nothing)]);
            let keeps = if has("keeps") { view.read(event, "keeps", keeps)? } else { Keeps::Pieces };
            let returns = how.ends_the_process() && lasts.is_some();
            if returns && keeps == Keeps::Pieces && storage == Some(Storage::Memory) {
                let key = if has("keeps") { "keeps" } else { "what" };
                view.fault(event, key, kept_in_memory());
            }
            Some(What::Go(how, keeps))
        }
    };
    let returns = matches!(what, Some(What::Go(how, _)) if how.ends_the_process()) && lasts.is_some();
    if has("keeps") && what.is_some() && !returns {
        let fault = Fault::new("nobody ends and comes back here, so there is nothing to keep");
        view.fault(event, "keeps", fault.hint("leave it out, or `what: crash` or `leave` with `for`"));
    }
    let (at, who, what) = (at?, who?, what?);
    if let Some(timeout) = timeout
        && at >= timeout
    {
        let fault = Fault::new(format!("`{}` is not before the timeout of `{}`", show_time(at), show_time(timeout)));
        view.fault(event, "at", fault.hint("an earlier event or a longer `timeout`"));
    }
    if who == Who::Tracker && !matches!(what, What::Go(How::Leave, _)) {
        let fault = Fault::new("the tracker's node is also the trial's clock and witness, so it can only fall silent");
        view.fault(event, "who", fault.hint("`what: leave`, with `for` if it is to answer again"));
    }
    Some(Incident { name: name.to_owned(), at, who, what, lasts })
}

/// `server`, `tracker`, `peers`, `all`, a class or a share.
fn who(value: &Value, classes: Option<&[Class]>) -> Result<Who, Fault> {
    let text = value.scalar().unwrap_or_default();
    let text = text.trim();
    match text {
        "server" => return Ok(Who::Server),
        "tracker" => return Ok(Who::Tracker),
        // Without classes they are the one class of that name, as they are in plans of old.
        "peers" if !classes.is_some_and(|it| it.iter().any(|class| class.name == "peers")) => return Ok(Who::Peers),
        "all" => return Ok(Who::All),
        _ => {}
    }
    if text.ends_with('%') {
        return values::share(value).map(|share| Who::Share(fraction(share)));
    }
    // Classes that could not be read are noted where they stand.
    let Some(classes) = classes else { return Ok(Who::Class(text.to_owned())) };
    if classes.iter().any(|class| class.name == text) {
        return Ok(Who::Class(text.to_owned()));
    }
    let mut known = EVERYBODY.to_vec();
    known.extend(classes.iter().map(|class| class.name.as_str()).filter(|name| !EVERYBODY.contains(name)));
    Err(Fault::new(format!("`{text}` is nobody here")).hint(format!("{}, or a share such as `30 %`", listed(&known))))
}

fn links<'a>(view: &mut View<'a, '_>, event: &Section<'a>) -> Option<Link> {
    let section = view.section(event, "links", &["up", "down"])?;
    let up = view.need(&section, "up", values::rate);
    let down = view.need(&section, "down", values::rate);
    Some(Link { up: up?, down: down? })
}
