//! Who takes part in a trial: a tracker, a server and N peers, each with its role and its link.

use peer_image::node::{Behaviour, OnComplete, Role};
use peer_image::seeds;

use super::Node;
use crate::spec::{Architecture, Settings};

/// The tracker first, then the server, then the peers; nobody churns yet.
///
/// Each peer gets a rank from its number alone, and the classes take the peers in the order of rank: a class is
/// spread over the numbers, and one more peer moves others at the borders between classes at most.
pub(super) fn nodes(settings: &Settings, seed: u64) -> Vec<Node> {
    let (server, peer) = match settings.architecture {
        Architecture::ClientServer => (Role::HttpServer, Role::HttpClient),
        Architecture::P2p => (Role::InitialSeed, Role::Leecher),
    };
    let fixed = |name: &str, role, link| Node {
        name: name.to_owned(),
        role,
        class: String::new(),
        link,
        on_complete: OnComplete::Stay,
        behaviour: Behaviour::Honest,
        to_complete: false,
        keeps_state: false,
        patience: None,
    };

    let n = settings.peers();
    let mut order: Vec<u32> = (1..=n).collect();
    order.sort_by_key(|number| (seeds::derive(seed, &format!("class/{number}")), *number));
    let classes = settings.classes.iter().flat_map(|class| std::iter::repeat_n(class, class.count as usize));
    let width = n.to_string().len();
    let mut peers: Vec<Node> = order
        .into_iter()
        .zip(classes)
        .map(|(number, class)| Node {
            name: format!("peer-{number:0width$}"),
            role: peer,
            class: class.name.clone(),
            link: Some(class.link),
            on_complete: class.on_complete,
            behaviour: class.behaviour,
            to_complete: true,
            keeps_state: false,
            patience: None,
        })
        .collect();
    peers.sort_by(|a, b| a.name.cmp(&b.name));

    let mut nodes = vec![fixed("tracker", Role::Tracker, None), fixed("server", server, Some(settings.server))];
    nodes.append(&mut peers);
    nodes
}
