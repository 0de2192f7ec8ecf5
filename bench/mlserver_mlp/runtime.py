# SPDX-License-Identifier: Apache-2.0
"""The peer's side: MLServer serving the same exported function with python mlx, as its documentation says."""
import mlx.core as mx
import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Function(MLModel):
    async def load(self) -> bool:
        self.function = mx.import_function(self.settings.parameters.uri)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        x = mx.array(NumpyCodec.decode_input(payload.inputs[0]).astype(np.float32))
        y = np.array(self.function(x)[0])
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("y", y)])
