//! Uploads a file as an application and a browser do it together: see `docs/api.md`.
//!
//! usage: `API=http://127.0.0.1:8000/cloudflare-images/api TOKEN=... cargo run --example upload -- FILE`

use std::error::Error;
use std::time::Duration;
use std::{env, fs};

use reqwest::Client;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

async fn upload(api: &str, token: &str, file: Vec<u8>) -> Result<Value, Box<dyn Error>> {
    let client = Client::builder().timeout(Duration::from_mins(1)).build()?;
    let authorization = format!("Token {token}");

    // The application asks for an upload URL.
    let request = client.post(format!("{api}/upload-url/")).header("Authorization", &authorization);
    let answer = request.json(&json!({ "metadata": { "album": "lakes" } })).send().await?;
    let upload: Value = answer.error_for_status()?.json().await?;

    // The browser sends the file there.
    let part = Part::bytes(file).file_name("photo.jpg").mime_str("image/jpeg")?;
    let form = Form::new().part("file", part);
    let url = upload["upload_url"].as_str().ok_or("there is no upload URL")?;
    client.post(url).multipart(form).send().await?.error_for_status()?;

    // Asking Cloudflare at once is not necessary: a webhook tells the server.
    let id = upload["id"].as_str().ok_or("the image has no id")?;
    let request = client.post(format!("{api}/images/{id}/check_status/")).header("Authorization", authorization);
    Ok(request.send().await?.error_for_status()?.json().await?)
}

#[expect(clippy::print_stdout, reason = "a program for a terminal")]
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = env::args().nth(1).ok_or("usage: upload FILE")?;
    let image = upload(&env::var("API")?, &env::var("TOKEN")?, fs::read(file)?).await?;
    println!("{}", image["status"]);
    Ok(())
}
