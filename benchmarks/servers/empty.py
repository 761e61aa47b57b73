"""A FastAPI endpoint that reads its body and does nothing: `uvicorn benchmarks.servers.empty:app`."""

from fastapi import FastAPI, Request, Response

app = FastAPI()


@app.post("/predict")
async def predict(request: Request) -> Response:
    await request.body()
    return Response(b'{"predictions":[]}', media_type="application/json")
