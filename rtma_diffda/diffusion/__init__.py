"""Diffusion: noise schedules, preconditioning, the denoising loss, paths of noise levels, samplers, conditioning.

One convention throughout: ``noisy = clean + sigma · noise`` ("variance exploding"). What is clean is a standardised
increment r = (x − x_b) / s. Read ``sampling`` first, then ``conditioning``.
"""
