//! Who changed what: newest first, narrowed, page after page.

use drydock::store::{AuditWish, Deed, Error};
use serde_json::json;
use uuid::Uuid;

use crate::house::House;
use crate::on_both;

fn deed(by: Option<Uuid>, action: &'static str, cohort: Option<Uuid>, subject: &str) -> Deed {
    Deed { by, action, cohort, subject: subject.into(), details: json!({"reason": "a NUL \0 and <b>"}) }
}

async fn subjects(house: &House, wish: &AuditWish, most: i64) -> Vec<String> {
    house.store.records(wish, most).await.unwrap().into_iter().map(|record| record.subject).collect()
}

on_both! {
    async fn what_was_done_is_found_by_who_where_and_what(house) {
        let ada = house.student("Ada").await;
        let here = Some(house.cohort.id);
        house.store.record(deed(None, "person.created", None, "one \0")).await.unwrap();
        house.store.record(deed(Some(ada), "check.overridden", here, "two")).await.unwrap();
        house.store.record(deed(Some(ada), "checklist.made", None, "three")).await.unwrap();
        let all = house.store.records(&AuditWish::default(), 10).await.unwrap();
        assert_eq!(all.iter().map(|one| one.subject.as_str()).collect::<Vec<_>>(), ["three", "two", "one \u{fffd}"]);
        assert_eq!((all[1].by.as_deref(), all[1].cohort.as_deref()), (Some("Ada"), Some(house.cohort.name.as_str())));
        assert_eq!((all[2].by.as_deref(), all[1].at), (None, house.clock.now()));
        assert_eq!(all[0].details, json!({"reason": "a NUL \0 and <b>"}));
        let wish = |change: fn(&mut AuditWish)| { let mut wish = AuditWish::default(); change(&mut wish); wish };
        assert_eq!(subjects(house, &wish(|wish| wish.action = "check.".into()), 10).await, ["two"]);
        assert_eq!(subjects(house, &AuditWish { by: Some(ada), ..AuditWish::default() }, 10).await, ["three", "two"]);
        assert_eq!(subjects(house, &AuditWish { cohort: here, ..AuditWish::default() }, 10).await, ["two"]);
        assert_eq!(subjects(house, &AuditWish::default(), 1).await, ["three"]);
        let before = AuditWish { before: Some(all[0].id), ..AuditWish::default() };
        assert_eq!(subjects(house, &before, 1).await, ["two"], "the next page");
    }

    async fn a_deed_of_nobody_we_know_is_refused(house) {
        let refused = house.store.record(deed(Some(Uuid::nil()), "person.created", None, "x")).await;
        assert!(matches!(refused, Err(Error::NotFound { .. })), "{refused:?}");
        assert!(house.store.records(&AuditWish::default(), 10).await.unwrap().is_empty());
    }
}
