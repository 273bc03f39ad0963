//! Which objects a label selector of Kubernetes selects.
//!
//! It must never guess: of an operator that it does not know, it says that it does not.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A selector. All of it must hold; an empty one selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LabelSelector {
    /// Labels that must be there with these values.
    pub labels: BTreeMap<String, String>,
    /// What else must hold.
    pub requirements: Vec<LabelRequirement>,
}

/// What must hold of one label.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LabelRequirement {
    /// The label.
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: String,
    /// Values, of the first two.
    pub values: Vec<String>,
}

impl LabelSelector {
    /// Whether an object with these labels is selected; `None` where that hangs on an operator that is not known.
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> Option<bool> {
        if self.labels.iter().any(|(key, value)| labels.get(key) != Some(value)) {
            return Some(false);
        }
        let held: Vec<Option<bool>> = self.requirements.iter().map(|one| one.holds(labels)).collect();
        // What certainly does not hold settles it, whatever else is not known.
        if held.contains(&Some(false)) {
            return Some(false);
        }
        (!held.contains(&None)).then_some(true)
    }
}

impl LabelRequirement {
    fn holds(&self, labels: &BTreeMap<String, String>) -> Option<bool> {
        let value = labels.get(&self.key);
        let is_among = value.is_some_and(|value| self.values.contains(value));
        match self.operator.as_str() {
            "In" => Some(is_among),
            "NotIn" => Some(!is_among),
            "Exists" => Some(value.is_some()),
            "DoesNotExist" => Some(value.is_none()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> BTreeMap<String, String> {
        let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    /// `tier In web|db`
    fn requirement(text: &str) -> LabelRequirement {
        let mut words = text.split(' ').map(str::to_owned);
        let (key, operator) = (words.next().unwrap(), words.next().unwrap());
        let values = words.next().map_or_else(Vec::new, |values| values.split('|').map(str::to_owned).collect());
        LabelRequirement { key, operator, values }
    }

    #[test]
    fn pods_are_selected_as_kubernetes_does() {
        let (yes, no, unknown) = (Some(true), Some(false), None);
        for (equal, required, of, expected) in [
            ("", &[][..], "", yes),
            ("", &[], "app=web", yes),
            ("app=web", &[], "app=web,tier=front", yes),
            ("app=web", &[], "app=db", no),
            ("app=web", &[], "", no),
            ("app=web,tier=front", &[], "app=web", no),
            ("app=", &[], "app=", yes),
            ("app=", &[], "tier=front", no),
            ("", &["app In web|db"], "app=db", yes),
            ("", &["app In web|db"], "app=mail", no),
            ("", &["app In web|db"], "", no),
            ("", &["app In"], "app=web", no),
            ("", &["app NotIn web|db"], "app=mail", yes),
            ("", &["app NotIn web|db"], "app=web", no),
            ("", &["app NotIn web|db"], "tier=front", yes),
            ("", &["app NotIn"], "app=web", yes),
            ("", &["app Exists"], "app=", yes),
            ("", &["app Exists"], "tier=front", no),
            ("", &["app DoesNotExist"], "tier=front", yes),
            ("", &["app DoesNotExist"], "app=web", no),
            ("app=web", &["tier In front", "canary DoesNotExist"], "app=web,tier=front", yes),
            ("app=web", &["tier In front", "canary DoesNotExist"], "app=web,tier=front,canary=1", no),
            ("", &["app in web"], "app=web", unknown),
            ("", &["size Gt 3"], "size=4", unknown),
            ("", &["size Gt 3", "app Exists"], "size=4", no),
            ("app=web", &["size Gt 3"], "app=db", no),
        ] {
            let requirements = required.iter().map(|text| requirement(text)).collect();
            let selector = LabelSelector { labels: labels(equal), requirements };
            assert_eq!(selector.selects(&labels(of)), expected, "{selector:?} of {of:?}");
        }
    }
}
