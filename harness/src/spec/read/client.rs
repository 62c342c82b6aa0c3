//! Which program peers and server run, as the file has it: our own agent unless it says otherwise.

use super::document::Value;
use super::reader::{Fault, Section, View};
use super::values;
use crate::spec::model::{Client, RuntimeName};

/// Longest reference of an image, characters.
const IMAGE_MAX: usize = 255;

/// The client section: our own if there is none; nothing if, noted, something is wrong.
pub(super) fn client<'a>(view: &mut View<'a, '_>, root: &Section<'a>, runtime: Option<RuntimeName>) -> Option<Client> {
    if !root.entries.iter().any(|entry| entry.key == "client") {
        return Some(Client::default());
    }
    let section = view.section(root, "client", &["image", "command"])?;
    let has = |key: &str| section.entries.iter().any(|entry| entry.key == key);
    if !has("image") && !has("command") {
        let fault = Fault::new("neither `image` nor `command`").hint("`image: NAME`, or leave `client` out");
        view.fault(root, "client", fault);
        return None;
    }
    if has("image") && runtime == Some(RuntimeName::Netns) {
        let fault =
            Fault::new("there are no images in network namespaces").hint("`command: PATH`, or `runtime: docker`");
        view.fault(&section, "image", fault);
    }
    let image = if has("image") { view.read(&section, "image", image)? } else { String::new() };
    let command = if has("command") { view.read(&section, "command", values::text)? } else { String::new() };
    Some(Client { image, command: command.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect() })
}

/// The name of an image, as an engine takes it.
fn image(value: &Value) -> Result<String, Fault> {
    let text = values::text(value)?;
    let fits = text.chars().count() <= IMAGE_MAX
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':' | '@'));
    if fits {
        Ok(text)
    } else {
        Err(Fault::new(format!("`{text}` cannot name an image")).hint("such as `my-peer:1.2`"))
    }
}
