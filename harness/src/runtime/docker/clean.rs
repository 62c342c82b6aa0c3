//! What dead runs left on the engine, and its removal: by label alone, never by prune, and nothing of a run that lives.

use std::collections::BTreeSet;

use super::client::{Client, ClientError, Labelled};
use super::labels::LABEL_UNTIL;
use super::owner::{self, Owner, Standing};
use super::{LABEL_RUN, image};
use crate::runtime::RuntimeError;

/// What was found on the engine that bears our labels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// What runs left that have ended.
    pub dead: Things,
    /// What runs left that were started elsewhere or before this machine's last boot, and whose time is up.
    pub elsewhere: Things,
    /// What runs hold that are alive on this machine, or may be elsewhere because their time is not up: never touched.
    pub alive: Things,
}

/// Containers, networks and volumes, by the engine's IDs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Things {
    /// IDs of the runs that they belong to.
    pub runs: BTreeSet<String>,
    /// Containers.
    pub containers: Vec<String>,
    /// Networks.
    pub networks: Vec<String>,
    /// Volumes that outlived their containers, or go with them.
    pub volumes: Vec<String>,
}

impl Things {
    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.containers.is_empty() && self.networks.is_empty() && self.volumes.is_empty()
    }
}

/// What was removed, and what could not be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Containers.
    pub containers: usize,
    /// Networks.
    pub networks: usize,
    /// Volumes.
    pub volumes: usize,
    /// Images.
    pub images: usize,
    /// Containers, networks and volumes that were left alone because their run was started elsewhere.
    pub elsewhere: usize,
    /// Containers, networks and volumes that were left alone because their run is alive, or may be.
    pub alive: usize,
    /// Why the rest stays.
    pub errors: Vec<String>,
}

impl Cleaned {
    /// Whether anything was removed.
    #[must_use]
    pub fn any_removed(&self) -> bool {
        self.containers + self.networks + self.volumes + self.images > 0
    }
}

impl std::fmt::Display for Cleaned {
    /// `3 containers, 1 network`; `nothing` if there was nothing.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let counts = [
            (self.containers, "container"),
            (self.networks, "network"),
            (self.volumes, "volume"),
            (self.images, "image"),
        ];
        let parts: Vec<String> = counts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}{}", if count == 1 { "" } else { "s" }))
            .collect();
        f.write_str(if parts.is_empty() { "nothing" } else { "" })?;
        f.write_str(&parts.join(", "))
    }
}

/// What there is of ours on the engine, seen by `me`.
pub(super) async fn leftovers(client: &Client, me: &Owner) -> Result<Leftovers, ClientError> {
    let mut found = Leftovers::default();
    let now = jiff::Timestamp::now().as_second();
    // Containers hold volumes and networks: they are listed, and removed, first.
    for thing in client.containers(LABEL_RUN).await? {
        let things = found.of(me, now, &thing);
        things.containers.push(thing.name);
    }
    for thing in client.networks(LABEL_RUN).await? {
        let things = found.of(me, now, &thing);
        things.networks.push(thing.name);
    }
    for thing in client.volumes(LABEL_RUN).await? {
        let things = found.of(me, now, &thing);
        things.volumes.push(thing.name);
    }
    Ok(found)
}

impl Leftovers {
    /// Where a thing belongs, `now` in seconds since 1970.
    fn of(&mut self, me: &Owner, now: i64, thing: &Labelled) -> &mut Things {
        let label = thing.labels.get(owner::LABEL).map_or("", String::as_str);
        let until = thing.labels.get(LABEL_UNTIL).and_then(|until| until.parse::<i64>().ok());
        let things = match me.standing(label) {
            Standing::Alive => &mut self.alive,
            Standing::Dead => &mut self.dead,
            // Nobody can tell from here, but a trial has an end.
            Standing::Elsewhere if until.is_some_and(|until| now < until) => &mut self.alive,
            Standing::Elsewhere => &mut self.elsewhere,
        };
        things.runs.extend(thing.labels.get(LABEL_RUN).cloned());
        things
    }
}

/// How much to remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// What dead runs of this machine left.
    Dead,
    /// That, and images that are not `current`.
    Old,
    /// That, what was started elsewhere, and every image.
    All,
}

/// Removes what `me` may remove; `current` is the tag of the image that a run would use now.
pub(super) async fn clean(
    client: &Client,
    me: &Owner,
    extent: Extent,
    current: Option<&str>,
) -> Result<Cleaned, ClientError> {
    let found = leftovers(client, me).await?;
    let mut cleaned = Cleaned::default();
    remove(client, &found.dead, &mut cleaned).await;
    let count = |things: &Things| things.containers.len() + things.networks.len() + things.volumes.len();
    if extent == Extent::All {
        remove(client, &found.elsewhere, &mut cleaned).await;
    } else {
        cleaned.elsewhere = count(&found.elsewhere);
    }
    cleaned.alive = count(&found.alive);
    // A run that is alive needs its image between two trials, when no container holds it.
    if extent != Extent::Dead && found.alive.is_empty() {
        for image in client.images(image::LABEL).await? {
            let keep = extent == Extent::Old && current.is_some_and(|current| image.tags.iter().any(|t| t == current));
            if keep {
                continue;
            }
            match client.remove_image(&image.id).await {
                Ok(true) => cleaned.images += 1,
                Ok(false) => {}
                Err(error) => cleaned.errors.push(RuntimeError::from(error).to_string()),
            }
        }
    }
    Ok(cleaned)
}

/// One after the other: see [`super::deployment`] for what engines do when several go at once.
async fn remove(client: &Client, things: &Things, cleaned: &mut Cleaned) {
    let mut tally = |count: &mut usize, result: Result<(), ClientError>| match result {
        Ok(()) => *count += 1,
        Err(error) => cleaned.errors.push(RuntimeError::from(error).to_string()),
    };
    for id in &things.containers {
        tally(&mut cleaned.containers, client.remove(id).await);
    }
    for id in &things.networks {
        tally(&mut cleaned.networks, client.remove_network(id).await);
    }
    // Most went with their containers; to remove what is gone is no error.
    for name in &things.volumes {
        tally(&mut cleaned.volumes, client.remove_volume(name).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::docker::client::Labels;

    #[test]
    fn what_lives_what_is_dead_and_what_is_elsewhere_are_told_apart() {
        let me = Owner::this_process();
        let thing = |owner: &str| Labelled {
            name: "x".into(),
            labels: Labels::from([(owner::LABEL.into(), owner.to_owned()), (LABEL_RUN.into(), "run".into())]),
        };
        let mut found = Leftovers::default();
        found.of(&me, 1_000, &thing(&me.to_string())).containers.push("mine".into());
        let mut dead = me.to_string();
        dead.push('9');
        found.of(&me, 1_000, &thing(&dead)).containers.push("dead".into());
        found.of(&me, 1_000, &thing("other:1:2:3")).networks.push("elsewhere".into());
        found.of(&me, 1_000, &Labelled { name: "x".into(), labels: Labels::new() }).volumes.push("unlabelled".into());
        let until = |until: &str| {
            let mut labelled = thing("other:1:2:3");
            labelled.labels.insert(LABEL_UNTIL.into(), until.into());
            labelled
        };
        found.of(&me, 1_000, &until("1001")).containers.push("may be alive".into());
        found.of(&me, 1_000, &until("1000")).networks.push("its time is up".into());
        assert_eq!(found.alive.containers, ["mine", "may be alive"]);
        assert_eq!(found.dead.containers, ["dead"]);
        assert_eq!(found.elsewhere.networks, ["elsewhere", "its time is up"]);
        assert_eq!(found.elsewhere.volumes, ["unlabelled"]);
    }

    #[test]
    fn what_was_removed_reads_as_a_list() {
        assert_eq!(Cleaned::default().to_string(), "nothing");
        let cleaned = Cleaned { containers: 3, networks: 1, ..Cleaned::default() };
        assert_eq!(cleaned.to_string(), "3 containers, 1 network");
    }
}
