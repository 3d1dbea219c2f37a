//! People, sessions, throttling and cohorts.

use std::time::Duration;

use drydock::accounts::{Role, SignInKey};
use drydock::store::Error;

use crate::house::House;
use crate::on_both;

const HOUR: Duration = Duration::from_hours(1);

on_both! {
    async fn a_name_is_taken_however_it_is_written(house) {
        let ada = house.store.create_person("Ada Lovelace", "hash", true).await.unwrap();
        for other in ["Ada Lovelace", "ada  LOVELACE"] {
            let error = house.store.create_person(other, "hash", false).await.unwrap_err();
            assert!(matches!(error, Error::Taken { field: "name" }), "{error:?}");
        }
        assert_eq!(house.store.person_by_name(" ADA lovelace ").await.unwrap(), Some(ada.clone()));
        assert_eq!(house.store.person(ada.id).await.unwrap(), ada);
        assert_eq!(house.store.people().await.unwrap(), [ada]);
        assert_eq!(house.store.person_by_name("ada\0").await.unwrap(), None);
        let nobody = house.store.person(uuid::Uuid::nil()).await.unwrap_err();
        assert!(matches!(nobody, Error::NotFound { what: "person" }));
    }

    async fn a_session_ends_by_time_by_signing_out_and_by_a_new_password(house) {
        let ada = house.student("Ada").await;
        house.store.create_session(ada, b"one", "csrf-1", HOUR).await.unwrap();
        house.store.create_session(ada, b"two", "csrf-2", HOUR).await.unwrap();
        let session = house.store.session(b"one").await.unwrap().unwrap();
        assert_eq!((session.person.id, session.csrf.as_str()), (ada, "csrf-1"));
        assert_eq!(session.created_at, house.now());
        assert_eq!(session.expires_at, house.now() + HOUR);
        house.store.end_session(b"one").await.unwrap();
        house.store.end_session(b"one").await.unwrap();
        assert_eq!(house.store.session(b"one").await.unwrap(), None);

        house.wait(3599);
        assert!(house.store.session(b"two").await.unwrap().is_some());
        house.wait(1);
        assert_eq!(house.store.session(b"two").await.unwrap(), None);

        house.store.create_session(ada, b"three", "csrf", HOUR).await.unwrap();
        house.store.set_password(ada, "other hash").await.unwrap();
        assert_eq!(house.store.session(b"three").await.unwrap(), None);
        assert_eq!(house.store.person(ada).await.unwrap().password_hash, "other hash");
        let error = house.store.create_session(uuid::Uuid::nil(), b"four", "csrf", HOUR).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    }

    async fn who_is_deactivated_is_out_at_once(house) {
        let ada = house.student("Ada").await;
        house.store.create_session(ada, b"browser", "csrf", HOUR).await.unwrap();
        let token = house.store.create_api_token(ada, "laptop", b"program").await.unwrap();
        assert_eq!(house.store.person_by_api_token(b"program").await.unwrap().unwrap().id, ada);
        house.store.set_deactivated(ada, true).await.unwrap();
        assert_eq!(house.store.session(b"browser").await.unwrap(), None);
        assert_eq!(house.store.person_by_api_token(b"program").await.unwrap(), None);

        house.store.set_deactivated(ada, false).await.unwrap();
        assert_eq!(house.store.session(b"browser").await.unwrap(), None, "the session does not come back");
        assert!(house.store.person_by_api_token(b"program").await.unwrap().is_some());
        assert_eq!(house.store.api_tokens(ada).await.unwrap()[0].name, "laptop");
        let grace = house.student("Grace").await;
        let error = house.store.revoke_api_token(grace, token).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "another's token");
        house.store.revoke_api_token(ada, token).await.unwrap();
        assert_eq!(house.store.person_by_api_token(b"program").await.unwrap(), None);
    }

    async fn failed_sign_ins_block_and_a_restart_forgives_nobody(house) {
        let name = SignInKey::Name("Ada");
        for _ in 0..4 {
            assert_eq!(house.store.note_failed_sign_in(name).await.unwrap(), None);
        }
        let until = house.store.note_failed_sign_in(name).await.unwrap().unwrap();
        assert_eq!(until, house.now() + Duration::from_secs(10));
        let restarted = house.neighbour().await;
        assert_eq!(restarted.sign_in_blocked_until(SignInKey::Name(" ada ")).await.unwrap(), Some(until));
        assert_eq!(restarted.sign_in_blocked_until(SignInKey::Name("Grace")).await.unwrap(), None);
        let until = restarted.note_failed_sign_in(name).await.unwrap().unwrap();
        assert_eq!(until, house.now() + Duration::from_secs(20), "the next block is twice as long");
        house.wait(20);
        assert_eq!(house.store.sign_in_blocked_until(name).await.unwrap(), None);

        // A class room behind one address has more tries, and they are not cleared with a name's.
        let address = SignInKey::Address([192, 0, 2, 1].into());
        for _ in 0..29 {
            assert_eq!(house.store.note_failed_sign_in(address).await.unwrap(), None);
        }
        assert!(house.store.note_failed_sign_in(address).await.unwrap().is_some());
        house.store.clear_failed_sign_ins(name).await.unwrap();
        assert_eq!(house.store.note_failed_sign_in(name).await.unwrap(), None);
        assert!(house.store.sign_in_blocked_until(address).await.unwrap().is_some());
        house.wait(3600);
        assert_eq!(house.store.note_failed_sign_in(address).await.unwrap(), None, "forgotten after an hour");
        restarted.close().await;
    }

    async fn joining_makes_person_member_and_session_or_nothing(house) {
        let cohort = house.cohort.id;
        let ada = house.store.join(cohort, "Ada", "hash", b"token", "csrf", HOUR).await.unwrap();
        assert_eq!(house.store.role_in(cohort, ada.id).await.unwrap(), Some(Role::Student));
        assert_eq!(house.store.session(b"token").await.unwrap().unwrap().person, ada);

        let error = house.store.join(cohort, "ADA", "hash", b"token 2", "csrf", HOUR).await.unwrap_err();
        assert!(matches!(error, Error::Taken { field: "name" }), "{error:?}");
        // The last step fails: what was done before it is taken back.
        let error = house.store.join(cohort, "Grace", "hash", b"token", "csrf", HOUR).await.unwrap_err();
        assert!(matches!(error, Error::Database(_)), "{error:?}");
        house.store.set_cohort_closed(cohort, true).await.unwrap();
        let error = house.store.join(cohort, "Grace", "hash", b"token 3", "csrf", HOUR).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { what: "cohort" }), "{error:?}");
        assert_eq!(house.store.people().await.unwrap(), [ada]);
        assert_eq!(house.store.members(cohort).await.unwrap().len(), 1);
    }

    async fn cohorts_are_found_by_code_and_by_member(house) {
        let error = house.store.create_cohort("Other", "w", "k7m4qx").await.unwrap_err();
        assert!(matches!(error, Error::Taken { field: "join_code" }), "{error:?}");
        house.wait(1);
        let autumn = house.store.create_cohort("Autumn", "w", "AAA-BBB").await.unwrap();
        let found = house.store.cohort_by_join_code(" k7m 4qx").await.unwrap();
        assert_eq!(found.as_ref(), Some(&house.cohort));
        assert_eq!(house.store.cohort_by_join_code("x\0y").await.unwrap(), None);
        assert_eq!(house.store.cohorts().await.unwrap(), [autumn.clone(), house.cohort.clone()]);

        let ada = house.student("Ada").await;
        house.wait(1);
        house.store.add_member(autumn.id, ada, Role::Student).await.unwrap();
        house.store.add_member(autumn.id, ada, Role::Trainer).await.unwrap();
        let of_ada = house.store.cohorts_of(ada).await.unwrap();
        assert_eq!(of_ada, [(autumn.clone(), Role::Trainer), (house.cohort.clone(), Role::Student)]);
        assert_eq!(house.store.members(autumn.id).await.unwrap().len(), 1);
        let error = house.store.add_member(uuid::Uuid::nil(), ada, Role::Student).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { what: "person or cohort" }), "{error:?}");
        assert_eq!(house.store.role_in(autumn.id, uuid::Uuid::nil()).await.unwrap(), None);
    }

    async fn admins_are_made_and_unmade(house) {
        let ada = house.student("Ada").await;
        house.store.set_admin(ada, true).await.unwrap();
        assert!(house.store.person(ada).await.unwrap().admin);
        house.store.set_admin(ada, false).await.unwrap();
        assert!(!house.store.person(ada).await.unwrap().admin);
        assert!(house.store.set_admin(uuid::Uuid::nil(), true).await.is_err());
    }
}
