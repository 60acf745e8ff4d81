"""Pipelines of diffusers with small random networks, and without text encoders."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import diffusers
import torch
from torch import Tensor

_TOKENS, _WIDTH = 5, 32


@dataclass(frozen=True)
class TinyPipeline:
    """A pipeline, and the words to call it with.

    Attributes:
        pipe: The pipeline.
        words: What it is called with, besides what comes out.
    """

    pipe: Any
    words: dict[str, Any]

    def __call__(self, output_type: str = "pt", **more: object) -> Tensor:
        """The first of what it returns, the same each time."""
        generator = torch.Generator().manual_seed(1)
        words = {"num_inference_steps": 2, **self.words, **more}
        made: Tensor = self.pipe(**words, generator=generator, output_type=output_type)[0]
        return made


def _tiny(pipe: Any, **words: object) -> TinyPipeline:
    pipe.set_progress_bar_config(disable=True)
    return TinyPipeline(pipe, {"prompt_embeds": torch.ones(1, _TOKENS, _WIDTH), **words})


def _flowing(kind: Any, vae: Any, transformer: Any, *, encoders: int = 1) -> Any:
    """A pipeline of a flow-matching transformer that would have so many text encoders."""
    ends = ["", *(f"_{number}" for number in range(2, encoders + 1))]
    absent = dict.fromkeys(f"{part}{end}" for part in ("text_encoder", "tokenizer") for end in ends)
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    return kind(vae=vae, transformer=transformer, scheduler=scheduler, **absent)


def _unet(**more: object) -> Any:
    return diffusers.UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=16,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=_WIDTH,
        norm_num_groups=8,
        **more,
    )


# So little noise that the random networks, which know nothing, leave most of the latents alone.
_NOISE = {"beta_start": 1e-6, "beta_end": 1e-5, "beta_schedule": "linear"}


def stable_diffusion(vae: Any, kind: Any = None, **words: object) -> TinyPipeline:
    pipe = (kind or diffusers.StableDiffusionPipeline)(
        vae=vae,
        text_encoder=None,
        tokenizer=None,
        unet=_unet(),
        scheduler=diffusers.DDIMScheduler(clip_sample=False, steps_offset=1, **_NOISE),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    if kind is None:
        words = {"height": 64, "width": 96, **words}
    return _tiny(pipe, guidance_scale=1, **words)


def stable_diffusion_from_image(vae: Any) -> TinyPipeline:
    image = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    return stable_diffusion(
        vae, diffusers.StableDiffusionImg2ImgPipeline, image=image, strength=0.6
    )


def stable_diffusion_xl(vae: Any) -> TinyPipeline:
    pipe = diffusers.StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=None,
        text_encoder_2=None,
        tokenizer=None,
        tokenizer_2=None,
        unet=_unet(
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + _WIDTH,
        ),
        scheduler=diffusers.EulerDiscreteScheduler(**_NOISE),
    )
    pooled = torch.ones(1, _WIDTH)
    return _tiny(pipe, pooled_prompt_embeds=pooled, guidance_scale=1, height=64, width=96)


def stable_diffusion_3(vae: Any) -> TinyPipeline:
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=32,
        patch_size=2,
        in_channels=16,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=_WIDTH,
        caption_projection_dim=32,
        pooled_projection_dim=64,
        out_channels=16,
    )
    pipe = _flowing(diffusers.StableDiffusion3Pipeline, vae, transformer, encoders=3)
    pooled = torch.ones(1, 64)
    return _tiny(pipe, pooled_prompt_embeds=pooled, guidance_scale=1, height=64, width=96)


def flux_1(vae: Any) -> TinyPipeline:
    transformer = diffusers.FluxTransformer2DModel(
        patch_size=1,
        in_channels=64,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=_WIDTH,
        pooled_projection_dim=32,
        axes_dims_rope=[4, 4, 8],
    )
    pipe = _flowing(diffusers.FluxPipeline, vae, transformer, encoders=2)
    return _tiny(pipe, pooled_prompt_embeds=torch.ones(1, 32), height=64, width=96)


def flux_2(vae: Any) -> TinyPipeline:
    transformer = diffusers.Flux2Transformer2DModel(
        patch_size=1,
        in_channels=128,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=_WIDTH,
        axes_dims_rope=[4, 4, 4, 4],
    )
    pipe = _flowing(diffusers.Flux2Pipeline, vae, transformer)
    return _tiny(pipe, height=64, width=96)


def animate_lcm(vae: Any) -> TinyPipeline:
    """AnimateDiff's pipeline with the scheduler of AnimateLCM, five frames in chunks of two."""
    adapter = diffusers.MotionAdapter(
        block_out_channels=(32, 64),
        motion_layers_per_block=1,
        motion_num_attention_heads=2,
        motion_norm_num_groups=2,
    )
    pipe = diffusers.AnimateDiffPipeline(
        vae=vae,
        text_encoder=None,
        tokenizer=None,
        unet=_unet(),
        motion_adapter=adapter,
        scheduler=diffusers.LCMScheduler(clip_sample=False, **_NOISE),
    )
    return _tiny(pipe, guidance_scale=1, height=32, width=48, num_frames=5, decode_chunk_size=2)


class _ImageEncoder(diffusers.ModelMixin):  # type: ignore[misc]
    """What stands for CLIP, seeing nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, pixels: Tensor) -> Any:
        return SimpleNamespace(image_embeds=torch.ones(1, _WIDTH))


class _FeatureExtractor:
    def __call__(self, images: Tensor, **_: object) -> Any:
        return SimpleNamespace(pixel_values=images)


def stable_video(vae: Any) -> TinyPipeline:
    """Stable Video Diffusion, five frames of a picture, in chunks of two."""
    unet = diffusers.UNetSpatioTemporalConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        cross_attention_dim=_WIDTH,
        num_attention_heads=(2, 4),
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=24,
    )
    pipe = diffusers.StableVideoDiffusionPipeline(
        vae=vae,
        image_encoder=_ImageEncoder(),
        unet=unet,
        scheduler=diffusers.EulerDiscreteScheduler(**_NOISE),
        feature_extractor=_FeatureExtractor(),
    )
    pipe.set_progress_bar_config(disable=True)
    image = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    words = {"height": 32, "width": 48, "num_frames": 5, "decode_chunk_size": 2}
    return TinyPipeline(pipe, {"image": image, "min_guidance_scale": 1.0, **words})


def wan(vae: Any) -> TinyPipeline:
    transformer = diffusers.WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=16,
        out_channels=16,
        text_dim=_WIDTH,
        freq_dim=256,
        ffn_dim=32,
        num_layers=1,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        rope_max_seq_len=32,
    )
    pipe = _flowing(diffusers.WanPipeline, vae, transformer)
    return _tiny(pipe, guidance_scale=1, height=32, width=48, num_frames=9)


def hunyuan_video(vae: Any) -> TinyPipeline:
    transformer = diffusers.HunyuanVideoTransformer3DModel(
        in_channels=16,
        out_channels=16,
        num_attention_heads=2,
        attention_head_dim=10,
        num_layers=1,
        num_single_layers=1,
        num_refiner_layers=1,
        patch_size=1,
        patch_size_t=1,
        guidance_embeds=True,
        text_embed_dim=_WIDTH,
        pooled_projection_dim=8,
        rope_axes_dim=(2, 4, 4),
    )
    pipe = _flowing(diffusers.HunyuanVideoPipeline, vae, transformer, encoders=2)
    mask, pooled = torch.ones(1, _TOKENS), torch.ones(1, 8)
    return _tiny(
        pipe,
        prompt_attention_mask=mask,
        pooled_prompt_embeds=pooled,
        height=32,
        width=48,
        num_frames=9,
    )


def cogvideo_x(vae: Any) -> TinyPipeline:
    transformer = diffusers.CogVideoXTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=16,
        out_channels=16,
        time_embed_dim=2,
        text_embed_dim=_WIDTH,
        num_layers=1,
        sample_width=6,
        sample_height=4,
        sample_frames=9,
        patch_size=2,
        max_text_seq_length=_TOKENS,
    )
    pipe = diffusers.CogVideoXPipeline(
        tokenizer=None,
        text_encoder=None,
        vae=vae,
        transformer=transformer,
        scheduler=diffusers.CogVideoXDDIMScheduler(**_NOISE),
    )
    return _tiny(pipe, guidance_scale=1, height=32, width=48, num_frames=9)


def ltx(vae: Any) -> TinyPipeline:
    transformer = diffusers.LTXVideoTransformer3DModel(
        in_channels=128,
        out_channels=128,
        patch_size=1,
        patch_size_t=1,
        num_attention_heads=2,
        attention_head_dim=8,
        cross_attention_dim=16,
        num_layers=1,
        caption_channels=_WIDTH,
    )
    pipe = _flowing(diffusers.LTXPipeline, vae, transformer)
    mask = torch.ones(1, _TOKENS)
    return _tiny(
        pipe, prompt_attention_mask=mask, guidance_scale=1, height=64, width=96, num_frames=9
    )


def mochi(vae: Any) -> TinyPipeline:
    transformer = diffusers.MochiTransformer3DModel(
        patch_size=2,
        num_attention_heads=2,
        attention_head_dim=8,
        num_layers=2,
        pooled_projection_dim=16,
        in_channels=12,
        qk_norm="rms_norm",
        text_embed_dim=_WIDTH,
        time_embed_dim=4,
        activation_fn="swiglu",
        max_sequence_length=16,
    )
    pipe = _flowing(diffusers.MochiPipeline, vae, transformer)
    mask = torch.ones(1, _TOKENS, dtype=torch.bool)
    return _tiny(
        pipe, prompt_attention_mask=mask, guidance_scale=1, height=32, width=48, num_frames=13
    )
