//! One outage of OpenFGA, told once: when it begins, when its cause changes, now and then while
//! requests suffer from it, and when it ends. Questions that are refused are told beside it.

use std::time::Duration;

use super::decide::OpenFgaAddress;
use super::fault::CheckFault;
use super::question::Question;
use crate::clock::Now;
use crate::outage::{ANY_CAUSE, LastTold, Outage, SAME_CAUSE};

/// Who suffers.
#[derive(Debug, Clone, Copy)]
enum Sufferer {
    Request,
    LookUp,
}

/// What was told last, by look-ups of the model and by checks alike.
#[derive(Debug, Default)]
pub(super) struct OutageLog {
    outage: Outage,
    /// Told beside outages, so that neither keeps the other from being told.
    refusals: LastTold,
}

impl OutageLog {
    /// A request could not be decided.
    pub(super) fn request_failed(
        &self,
        fault: &CheckFault,
        question: &Question<'_>,
        address: Option<OpenFgaAddress<'_>>,
        now: Now,
    ) {
        if fault.is_about_the_question() {
            if self.is_new_refusal(fault, question, now) {
                let hint = "compare the rule's action and object with the authorization model";
                tell_refusal("OpenFGA refused a check", fault, question, hint);
            }
        } else if self.is_news(fault, Sufferer::Request, now) {
            tell(fault, address, "verify OPENFGA_URL, OPENFGA_STORE_ID and network connectivity");
        }
    }

    /// The engine in this process cannot answer; there is nobody that could be out of reach.
    pub(super) fn engine_failed(&self, fault: &CheckFault, question: &Question<'_>, now: Now) {
        if self.is_new_refusal(fault, question, now) {
            let hint = "compare the rule's action and object with authz.model_file";
            tell_refusal("the embedded engine refused a check", fault, question, hint);
        }
    }

    /// The model could not be looked up; that is tried again after `pause`.
    pub(super) fn lookup_failed(
        &self,
        fault: &CheckFault,
        address: OpenFgaAddress<'_>,
        pause: Duration,
        now: Now,
    ) {
        if self.is_news(fault, Sufferer::LookUp, now) {
            let hint = format!(
                "verify OPENFGA_URL, OPENFGA_STORE_ID and network connectivity; \
                 tried again every {pause:?}"
            );
            tell(fault, Some(address), &hint);
        }
    }

    /// OpenFGA has answered.
    pub(super) fn answered(&self, address: Option<OpenFgaAddress<'_>>) {
        if self.outage.ends() {
            let (url, store_id) = (address.map(|at| at.url), address.map(|at| at.store_id));
            tracing::info!(url, store_id, "OpenFGA is reachable again");
        }
    }

    fn is_news(&self, fault: &CheckFault, sufferer: Sufferer, now: Now) -> bool {
        let is_told = matches!(sufferer, Sufferer::LookUp) && self.outage.is_under_way();
        self.outage.is_news_after(fault, now, |told| {
            let is_known = fault.is_consequence() || fault.to_string() == told;
            match is_known {
                true if is_told => Duration::MAX,
                true => SAME_CAUSE,
                false => ANY_CAUSE,
            }
        })
    }

    fn is_new_refusal(&self, fault: &CheckFault, question: &Question<'_>, now: Now) -> bool {
        self.refusals.is_news(&format_args!("{} {fault}", question.rule), now)
    }
}

fn tell(fault: &CheckFault, address: Option<OpenFgaAddress<'_>>, hint: &str) {
    tracing::warn!(
        reason = "authorization_unavailable",
        cause = %fault,
        url = address.map(|address| address.url),
        store_id = address.map(|address| address.store_id),
        hint,
        "Failed to connect to OpenFGA"
    );
}

fn tell_refusal(message: &str, fault: &CheckFault, question: &Question<'_>, hint: &str) {
    let object_type = question.object.split_once(':').map(|(object_type, _)| object_type);
    tracing::warn!(
        reason = "authorization_unavailable",
        cause = %fault,
        rule = question.rule,
        relation = question.relation,
        object_type,
        hint,
        "{message}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Now {
        Now::at(0, (3_600_000 + millis) * 1_000_000)
    }

    fn down(cause: &str) -> CheckFault {
        CheckFault::Unreachable { cause: cause.to_owned() }
    }

    #[test]
    fn requests_tell_a_cause_every_ten_seconds_and_another_one_after_a_second() {
        let log = OutageLog::default();
        for (millis, fault, expected) in [
            (0, down("refused"), true),
            (999, down("no route"), false),
            (1_000, down("refused"), false),
            (1_001, down("no route"), true),
            (5_000, CheckFault::CircuitOpen, false),
            (11_000, down("no route"), false),
            (11_001, down("no route"), true),
        ] {
            assert_eq!(
                log.is_news(&fault, Sufferer::Request, at(millis)),
                expected,
                "{millis} {fault}"
            );
        }
    }

    #[test]
    fn refused_questions_are_told_by_rule_and_keep_no_outage_from_being_told() {
        let log = OutageLog::default();
        let question = |rule| Question {
            user: "user:ann",
            relation: "viewer",
            object: "feature:reports",
            rule,
            consistency: crate::authz::ConsistencyPreference::MinimizeLatency,
        };
        let fault = CheckFault::Refused { status: 400, code: "x".into(), message: "y".into() };
        for (millis, rule, expected) in [
            (0, "one", true),
            (999, "two", false),
            (1_000, "one", false),
            (1_000, "two", true),
            (10_999, "two", false),
            (11_000, "two", true),
        ] {
            let is_new = log.is_new_refusal(&fault, &question(rule), at(millis));
            assert_eq!(is_new, expected, "{millis} {rule}");
        }
        assert!(log.is_news(&down("refused"), Sufferer::Request, at(11_000)));
    }

    #[test]
    fn look_ups_tell_a_cause_once_until_it_changes_or_the_outage_ends() {
        let log = OutageLog::default();
        assert!(log.is_news(&down("refused"), Sufferer::LookUp, at(0)));
        assert!(!log.is_news(&down("refused"), Sufferer::LookUp, at(60_000)));
        assert!(log.is_news(&CheckFault::NoModel, Sufferer::LookUp, at(61_000)));
        log.answered(None);
        assert!(
            !log.is_news(&CheckFault::NoModel, Sufferer::LookUp, at(62_000)),
            "told a second ago"
        );
        assert!(log.is_news(&CheckFault::NoModel, Sufferer::LookUp, at(72_000)));
    }
}
