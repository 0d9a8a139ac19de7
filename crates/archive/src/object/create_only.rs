//! Adds `If-None-Match: *` to the request that completes an upload in parts, for which `object_store` has no option.
//! Does not look at any other request, nor at bodies and answers.

use std::future::Future;
use std::pin::Pin;

use object_store::HeaderValue;
use object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};

/// Makes the clients that add it.
#[derive(Debug)]
pub(super) struct CreateOnly;

impl HttpConnector for CreateOnly {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let inner = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Adding(inner)))
    }
}

#[derive(Debug)]
struct Adding(HttpClient);

impl HttpService for Adding {
    // As `async_trait` writes it.
    fn call<'life0, 'async_trait>(
        &'life0 self,
        mut request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        let query = request.uri().query().unwrap_or_default();
        let completes = request.method().as_str() == "POST"
            && query.split('&').any(|part| part.starts_with("uploadId="));
        if completes {
            // The signature covers the headers it names, so others may be added.
            let any = HeaderValue::from_static("*");
            request.headers_mut().insert("if-none-match", any);
        }
        Box::pin(self.0.execute(request))
    }
}
