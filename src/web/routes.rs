//! The route table: every route with its method, path and who may use it.
//!
//! Pages and API register through [`Routes`], which puts the route behind its guard (see
//! [`super::access`]) and remembers the row, so that a test can walk the very list that the router
//! was made from. Names of path parameters are the table's vocabulary: `{cohort}`, `{submission}`
//! and `{grading}` say whose the thing behind a path is.

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware;
use axum::routing::{MethodFilter, on};

use super::AppState;
use super::access::{self, Gate};

/// Who may use a route. Admins may use every one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody, signed in or not.
    Anyone,
    /// Everybody who is signed in.
    SignedIn,
    /// Students and trainers of the cohort that the path belongs to.
    Member,
    /// The person who handed in the path's submission, and trainers of its cohort.
    Owner,
    /// Trainers of the cohort that the path belongs to.
    Trainer,
    /// Admins only.
    Admin,
}

/// How much a route reads and how long it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Pages and forms: small bodies, quick answers.
    Brisk,
    /// Takes an archive: large bodies, with time for a slow line.
    Upload,
    /// An event stream: ends when there is nothing more to tell.
    Stream,
}

/// One row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The method; a `GET` row answers `HEAD` too.
    pub method: Method,
    /// The router's pattern.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
    /// Body and time limits.
    pub pace: Pace,
}

impl Row {
    /// Whether the route is part of the JSON API.
    #[must_use]
    pub fn is_api(&self) -> bool {
        self.path.starts_with("/api/")
    }
}

/// A router in the making, and its table.
pub struct Routes {
    state: AppState,
    router: Router<AppState>,
    rows: Vec<Row>,
}

impl Routes {
    /// No routes yet.
    #[must_use]
    pub fn new(state: AppState) -> Self {
        Self { state, router: Router::new(), rows: Vec::new() }
    }

    /// A page, or an answer of the API.
    #[must_use]
    pub fn get<H, T>(self, path: &'static str, access: Access, handler: H) -> Self
    where
        H: Handler<T, AppState>,
        T: 'static,
    {
        self.add(Method::GET, path, access, Pace::Brisk, handler)
    }

    /// A form or a small JSON body.
    #[must_use]
    pub fn post<H, T>(self, path: &'static str, access: Access, handler: H) -> Self
    where
        H: Handler<T, AppState>,
        T: 'static,
    {
        self.add(Method::POST, path, access, Pace::Brisk, handler)
    }

    /// A removal, for the API: browsers' forms cannot send one.
    #[must_use]
    pub fn delete<H, T>(self, path: &'static str, access: Access, handler: H) -> Self
    where
        H: Handler<T, AppState>,
        T: 'static,
    {
        self.add(Method::DELETE, path, access, Pace::Brisk, handler)
    }

    /// A `POST` that takes an archive.
    #[must_use]
    pub fn upload<H, T>(self, path: &'static str, access: Access, handler: H) -> Self
    where
        H: Handler<T, AppState>,
        T: 'static,
    {
        self.add(Method::POST, path, access, Pace::Upload, handler)
    }

    /// An event stream.
    #[must_use]
    pub fn stream<H, T>(self, path: &'static str, access: Access, handler: H) -> Self
    where
        H: Handler<T, AppState>,
        T: 'static,
    {
        self.add(Method::GET, path, access, Pace::Stream, handler)
    }

    /// The router and the table it was made from.
    pub fn finish(self) -> (Router<AppState>, Vec<Row>) {
        (self.router, self.rows)
    }

    fn add<H, T>(mut self, method: Method, path: &'static str, access: Access, pace: Pace, handler: H) -> Self
    where
        H: Handler<T, AppState>,
        T: 'static,
    {
        let scoped = ["{cohort}", "{submission}", "{grading}"].iter().any(|name| path.contains(name));
        assert!(
            scoped || !matches!(access, Access::Member | Access::Owner | Access::Trainer),
            "{method} {path}: {access:?} needs {{cohort}}, {{submission}} or {{grading}} in the path"
        );
        let row = Row { method: method.clone(), path, access, pace };
        let gate = Gate { state: self.state.clone(), row: row.clone() };
        let filter = MethodFilter::try_from(method).expect("a standard method");
        let guarded = on(filter, handler).layer(middleware::from_fn_with_state(gate, access::guard));
        self.router = self.router.route(path, guarded);
        self.rows.push(row);
        self
    }
}
